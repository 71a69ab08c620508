"""A pipeline file is checked completely before anything runs: file, line, key, nearest name."""

import pytest

from multicloud.errors import McError
from nodeagent.core.pipeline.model import canonical, from_canonical, pipeline_hash
from nodeagent.process.pipeline_file import EXAMPLE, checked


def faults(text: str, allowed: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(McError) as failed:
        checked(text, "p.toml", allowed)
    assert failed.value.reason == "PIPELINE_INVALID"
    assert failed.value.row.exit == 2
    return [str(fault) for fault in failed.value.faults]


STEP = '[[step]]\nuse = "{}"\n'
SCHEMA = STEP.format("validate.schema") + 'fields = { id = "int64", text = "string" }\n'


def test_the_example_is_right_and_survives_its_canonical_form() -> None:
    pipeline = checked(EXAMPLE, "p.toml", ())
    assert from_canonical(canonical(pipeline)) == pipeline
    assert [step.use for step in pipeline.steps] == ["validate.schema", "transform.sql"]


def test_one_meaning_has_one_hash() -> None:
    short = checked(SCHEMA, "a", ())
    long = checked(
        'input = "auto"\n' + SCHEMA + 'extra = "keep"\non_bad = "quarantine" # said\n'
        '[output]\nformat = "same"\n',
        "b",
        (),
    )
    assert pipeline_hash(short) == pipeline_hash(long)
    others = [
        SCHEMA + 'on_bad = "drop"\n',
        SCHEMA.replace("int64", "int32"),
        # The order of fields is the order of columns.
        SCHEMA.replace('id = "int64", text = "string"', 'text = "string", id = "int64"'),
        'input = "jsonl"\n' + SCHEMA,
    ]
    hashes = {pipeline_hash(checked(text, "c", ())) for text in others}
    assert len(hashes | {pipeline_hash(short)}) == len(others) + 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('imput = "raw"', "p.toml:1: imput: is not an option (did you mean input?)"),
        ('input = "jsonn"', "p.toml:1: input: must be one of auto, raw, jsonl, csv, parquet, tar, and is 'jsonn' (did you mean jsonl?)"),
        ("input = 5", "p.toml:1: input: must be one of auto, raw, jsonl, csv, parquet, tar, and is 5"),
        (STEP.format("validate.shema"), "p.toml:2: step[0].use: is no step: 'validate.shema'; `mcctl pipeline steps` lists them (did you mean validate.schema?)"),
        ("[[step]]\nfoo = 1", "p.toml:1: step[0]: needs `use`: the name of a step; `mcctl pipeline steps` lists them"),
        (STEP.format("transform.sql"), "p.toml:1: step[0]: needs `query`: text"),
        (SCHEMA + "on_bad = 'quarantin'", "p.toml:4: step[0].on_bad: must be one of quarantine, drop, fail, and is 'quarantin' (did you mean quarantine?)"),
        (SCHEMA + "fail_above = 2", "p.toml:4: step[0].fail_above: must be a number from 0 to 1, and is 2"),
        (STEP.format("validate.schema") + 'fields.id = "int46"', "p.toml:3: step[0].fields.id: must be a type (bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, string, binary, date, datetime, any, list<type>, type?), and is 'int46' (did you mean int64?)"),
        (STEP.format("dedupe") + 'on_bad = "drop"', "p.toml:3: step[0].on_bad: is not an option"),
        (STEP.format("sample") + 'share = "a"', "p.toml:3: step[0].share: must be a number from 0 to 1, and is 'a'"),
        (STEP.format("transform.sql") + 'query = "SELEC id"', "p.toml:3: step[0].query: must be one SELECT (WITH may stand before it)"),
        (STEP.format("transform.sql") + 'query = "SELECT (id FROM chunk"', "p.toml:3: step[0].query: Expected: ), found: FROM at Line: 1, Column: 12"),
        (STEP.format("transform.sql") + 'query = "SELECT id FROM chnk"', "p.toml:3: step[0].query: relation 'chnk' was not found"),
        (STEP.format("transform.sql") + "query = \"SELECT * FROM read_csv('/etc/passwd')\"", "p.toml:3: step[0].query: read_csv reads files, and a step sees the records of its chunk only"),
        (STEP.format("transform.sql") + 'query = "SELECT now() FROM chunk"', "p.toml:3: step[0].query: now gives another result at every run"),
        (STEP.format("transform.sql") + 'query = "DELETE FROM chunk"', "p.toml:3: step[0].query: must be one SELECT (WITH may stand before it)"),
        (SCHEMA + STEP.format("transform.sql") + 'query = "SELECT txt FROM chunk"', "p.toml:6: step[1].query: txt is no column here; there are id, text (did you mean text?)"),
        (SCHEMA + STEP.format("filter") + 'where = "idd = 1"', "p.toml:6: step[1].where: idd is no column here; there are id, text (did you mean id?)"),
        (SCHEMA + STEP.format("filter") + 'where = "id + 1"', "p.toml:6: step[1].where: is Int64, and a condition is true or false"),
        (SCHEMA + STEP.format("filter") + 'where = "id ="', "p.toml:6: step[1].where: unable to parse 'id =' as Expr"),
        (SCHEMA + STEP.format("text.normalise") + 'columns = ["id"]', "p.toml:6: step[1].columns: id is int64, not string"),
        (SCHEMA + STEP.format("transform.select") + 'columns = ["nope"]', "p.toml:6: step[1].columns: nope is no column here; there are id, text"),
        (STEP.format("validate.expect") + 'regex = { a = "(" }', "p.toml:3: step[0].regex.a: is no regular expression: missing ), unterminated subpattern at position 0"),
        (STEP.format("validate.expect") + "range = { a = [2, 1] }", "p.toml:3: step[0].range.a: must be [least, most], both numbers or both texts, and is a list of 2"),
        (STEP.format("python") + 'call = "acme.clean:normalize"', "p.toml:3: step[0].call: acme.clean:normalize is not allow-listed; nodes run only what process.calls names (did you mean acme.clean:normalise?)"),
        (STEP.format("python") + 'call = "os.system"', "p.toml:3: step[0].call: must be module:function, and is 'os.system'"),
        ('input = "raw"\n' + SCHEMA, "p.toml:1: input: raw has no records for steps: name jsonl, csv, parquet, tar or auto"),
        ('[output]\nformat = "parqet"', "p.toml:2: output.format: must be one of same, jsonl, parquet, tar, and is 'parqet' (did you mean parquet?)"),
        ('a = "\n', "p.toml:1: file: is no TOML: Illegal character '\\n'"),
        ("step = 5", "p.toml:1: step: must be tables, each under a line of its own: [[step]]"),
    ],
)  # fmt: skip
def test_every_fault_is_named_with_its_line_and_key(text: str, fault: str) -> None:
    assert faults(text, ("acme.clean:normalise",)) == [fault]


def test_all_faults_are_told_at_once() -> None:
    text = 'input = "x"\n' + STEP.format("nope") + SCHEMA + 'extra = "x"\n[outputs]\n'
    assert len(faults(text)) == 4


def test_columns_are_followed_through_steps() -> None:
    steps = (
        SCHEMA
        + STEP.format("transform.rename") + 'columns = { text = "body" }\n'
        + STEP.format("transform.sql") + 'query = "SELECT id, length(body) AS n FROM chunk"\n'
        + STEP.format("transform.cast") + 'columns = { n = "string" }\n'
    )  # fmt: skip
    checked(steps + STEP.format("filter") + "where = \"n = '5'\"\n", "p", ())
    assert (
        "body is no column here; there are id, n"
        in faults(steps + STEP.format("dedupe") + 'by = ["body"]\n')[0]
    )


def test_where_columns_are_not_known_any_may_be_there() -> None:
    checked(STEP.format("filter") + 'where = "whatever > 5"\n', "p", ())
    checked(
        SCHEMA + STEP.format("python") + 'call = "m:f"\n' + STEP.format("dedupe") + 'by = ["x"]\n',
        "p",
        ("m:*",),
    )


def test_words_in_texts_and_names_of_columns_are_no_functions() -> None:
    query = """SELECT id, 'now() read_csv(x)' AS "now()" FROM chunk -- random()"""
    checked(SCHEMA + STEP.format("transform.sql") + f"query = '''{query}'''\n", "p", ())
