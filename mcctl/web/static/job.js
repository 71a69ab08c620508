// One job: what limits it, what it waits for, and the way of its chunks through the nodes.
import { h, ms, placed, size, table, time } from "./draw.js";
import { jobState, marked } from "./overview.js";

export function job({ jobs, me, trace }, id) {
  if (!jobs) return [h("p", {}, "Asking the cluster …")];
  const found = jobs.find((one) => one.job === id);
  if (!found) return [h("h1", {}, "Job"), h("p", {}, marked("bad", `no job ${id} is among the newest 500`))];
  const ended = ["done", "failed", "cancelled"].includes(found.state);
  const may = me && me.may.includes("cancel") && !ended;
  return [
    h("h1", {}, found.version ? `${found.dataset}@${found.version}` : found.dataset, " ", jobState(found)),
    h("p", {}, h("code", {}, found.job), ` of ${found.source}`, found.created ? `, since ${new Date(found.created).toLocaleString()}` : "", `, ${time(found.seconds)} `,
      may ? h("button", { class: "danger", "data-act": "cancel", "data-what": found.job }, "Cancel …") : null),
    found.error ? h("p", {}, marked("bad", found.error)) : null,
    found.blocked.map((why) => h("p", {}, marked("warn", `waits: ${why}`))),
    found.bottleneck ? h("p", {}, h("strong", {}, "Bottleneck: "), found.bottleneck.sentence) : null,
    h("ul", { class: "cards" }, [["objects listed", found.objects_listed], ["chunks", found.chunks], ["acked", found.chunks_acked], ["safe", found.chunks_safe], ["read", size(found.bytes_in)], ["dollars of planned", `${found.usd.spent.toFixed(2)} / ${found.usd.planned.toFixed(2)}`]]
      .map(([what, value]) => h("li", {}, h("b", {}, typeof value === "number" ? value.toLocaleString("en") : value), what))),
    found.survives && found.survives.sentence ? h("p", { class: "quiet" }, found.survives.sentence) : null,
    found.stages.length ? [h("h2", {}, "Stages"), table(["Stage", "", ">Done", ">Of", ">A second", ">Queued", "Waits for"], found.stages.map(stage), "")] : null,
    found.links.length ? [h("h2", {}, "Links of the last seconds"), table(["From", "To", ">Sent", ">Waited for credit"], found.links.map((one) => [one.from, one.to, size(one.bytes), `${(100 * one.waited_share).toFixed(0)} %`]), "")] : null,
    h("h2", {}, "Chunks, as traces tell"), chunks(trace, id),
  ];
}

function stage(one) {
  return [one.stage, h("progress", { max: Math.max(1, one.bytes_planned), value: one.bytes_done, "aria-label": `${one.stage} done` }), size(one.bytes_done), one.bytes_planned ? size(one.bytes_planned) : "–",
    one.bytes_per_s ? size(one.bytes_per_s) : "–", one.bytes_queued ? size(one.bytes_queued) : "–", one.waiting_for || "–"];
}

function chunks(trace, id) {
  const choice = h("p", { class: "choice" }, [["slowest=5", "Slowest"], ["failed=1", "Failed"], ["", "The job's own"]].map(([query, name]) =>
    [h("button", { "data-trace": query, "data-job": id, "aria-pressed": trace && trace.job === id && trace.query === query ? "true" : "false" }, name), " "]));
  if (!trace || trace.job !== id) return [choice, h("p", { class: "quiet" }, "Asking every node …")];
  if (trace.trouble) return [choice, h("p", {}, marked("bad", `${trace.trouble.message}; next: ${trace.trouble.next}`))];
  const found = trace.answer;
  const listed = found.chunks.map((one) => [
    one.index === null ? "–" : h("button", { "data-trace": `chunk=${one.index}`, "data-job": id }, `Chunk ${one.index}`), one.node || "–", ms(1000 * one.seconds), one.error ? marked("bad", one.error) : "–",
    one.link ? h("a", { href: one.link, rel: "noreferrer", target: "_blank" }, "Jaeger") : "–"]);
  return [choice, found.traces.map(fall), listed.length ? table(["Chunk", "Node", ">Took", "Error", "Trace"], listed, "") : null,
    !found.traces.length && !listed.length ? h("p", { class: "quiet" }, trace.query.startsWith("failed") ? "No node remembers a failure." : "No node remembers these traces any more.") : null,
    found.unreachable.length ? h("p", {}, marked("warn", `Not answered: ${found.unreachable.join(", ")}; their spans are missing.`)) : null,
    found.complete ? null : h("p", {}, marked("warn", "There are more spans than one answer holds."))];
}

function fall(trace) {
  const whole = Math.max(0.001, ...trace.rows.map((row) => row.start_ms + row.ms));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Waterfall" },
    h("p", {}, h("code", {}, trace.trace_id.slice(0, 16)), ` ${ms(whole)} `, trace.link ? h("a", { href: trace.link, rel: "noreferrer", target: "_blank" }, "in Jaeger") : null, h("span", { class: "quiet" }, " – hatched: it waited")),
    h("table", { class: "fall" }, h("tbody", {}, trace.rows.map((row) => h("tr", {}, h("td", {}, `${"\u2003".repeat(row.depth)}${row.name}${row.times > 1 ? ` ×${row.times}` : ""}`), h("td", { class: "quiet" }, row.node), h("td", { class: "n" }, ms(row.ms)),
      h("td", { class: "track" }, h("div", {}, bar(row, whole))), h("td", {}, row.error ? marked("bad", row.error) : ""))))));
}

function bar(row, whole) {
  const waited = h("i", { class: "waited" });
  waited.style.width = `${100 * row.waited_share}%`;
  return placed(h("div", { class: row.error ? "span failed" : "span", title: `${Math.round(100 * row.waited_share)} % waited` }, waited), (100 * row.start_ms) / whole, (100 * row.ms) / whole);
}
