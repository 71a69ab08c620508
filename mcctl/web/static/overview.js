// Is data in danger, does it move, what is in the way, and what to type. Nodes, jobs, events as lists.
import { h, many, size, table, time } from "./draw.js";

const LOOK = { safe: "good", danger: "bad", short: "warn", counting: "warn" };
const SIGN = { good: "✓", warn: "!", bad: "✗" };
const NODE = { alive: "good", draining: "warn", suspect: "warn", left: "quiet" };
const JOB = { done: "good", failed: "bad", cancelled: "quiet", waiting: "warn", paused: "warn" };
const MOVES = { moving: "good", waiting: "warn" };

export const marked = (look, text) => h("span", { class: look }, SIGN[look] ? `${SIGN[look]} ` : "", text);
export const nodeState = (node) => marked(NODE[node.state] || "bad", stateOf(node));
export const jobState = (job) => marked(JOB[job.state], job.state);

function stateOf(node) {
  if (node.state !== "draining" || !node.leaving) return node.state;
  return node.leaving.done ? "emptied" : `draining, ${many(node.leaving.chunks_left, "chunk")} left`;
}

export function overview({ status, jobs }) {
  if (!status) return [h("p", {}, "Asking the cluster …")];
  const look = LOOK[status.verdict.word] || "bad";
  const well = status.nodes.filter((node) => ["alive", "draining", "left"].includes(node.state)).length;
  const waits = status.jobs.flatMap((job) => job.blocked.map((why) => h("li", {}, h("a", { href: `#/jobs/${job.job}` }, job.dataset), ` waits: ${why}`)));
  return [
    h("h1", { class: `verdict ${look}` }, `${SIGN[look]} ${status.verdict.sentence}`, h("p", {}, debt(status))),
    h("h2", {}, "Chunks by copies"), copies(status),
    h("h2", {}, "Does it move?"), h("p", {}, marked(MOVES[status.motion.state] || "quiet", status.motion.sentence)),
    h("h2", {}, "In the way"),
    status.problems.map((one) => h("div", { class: "problem" }, h("p", {}, marked("bad", one.code.toLowerCase().replaceAll("_", " ")), `: ${one.what}`), h("p", {}, "Next: ", code(one.next)))),
    waits.length ? h("ul", {}, waits) : null,
    !status.problems.length && !waits.length ? h("p", {}, marked("good", "Nothing is.")) : null,
    h("h2", {}, "Cluster"),
    h("p", {}, h("a", { href: "#/nodes" }, `${well} of ${many(status.nodes.length, "node")} well`), `, council of ${status.council.members.length}: `,
      status.council.deciding ? marked("good", "can decide") : marked("bad", "nothing can be decided"), h("span", { class: "quiet" }, ` (as ${status.answered_by} sees it)`)),
    h("h2", {}, "Jobs that have not ended"), jobTable(status.jobs, jobs && jobs.length ? "None. The last ones are under Jobs." : "None."),
  ];
}

// What stands in backquotes is to be typed.
function code(text) {
  return text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));
}

function debt(status) {
  const left = status.repair_debt;
  const counted = status.chunks_uncounted ? ` ${many(status.chunks_uncounted, "chunk")} not counted yet.` : "";
  if (!left.chunks) return `Nothing is to be repaired.${counted}`;
  return `To repair: ${many(left.chunks, "chunk")}, ${size(left.bytes)}, the oldest for ${time(left.oldest_s)}.${counted}`;
}

function copies(status) {
  const by = status.chunks_by_copies;
  const levels = [...new Set(["3", "2", "1", "0", ...Object.keys(by)])].sort((one, other) => other - one);
  const look = (level) => (!by[level] ? "quiet" : level === "0" ? "bad" : level === "1" ? "bad" : null);
  return h("ul", { class: "cards" }, levels.map((level) => h("li", {}, h("b", { class: look(level) }, (by[level] || 0).toLocaleString("en")), level === "1" ? "with 1 copy" : level === "0" ? "with no copy" : `with ${level} copies`)));
}

export function nodes({ status, me }) {
  if (!status) return [h("p", {}, "Asking the cluster …")];
  const may = (what) => me && me.may.includes(what);
  const rows = status.nodes.map((node) => [node.name, [node.cloud, node.region, node.zone].filter(Boolean).join(" / ") || "–", nodeState(node),
    node.chunks.toLocaleString("en"), size(node.bytes_used), size(node.bytes_free), node.silent_s < 2 ? "now" : `${time(node.silent_s)} ago`, act(node, may)]);
  return [h("h1", {}, "Nodes"), table(["Node", "Place", "State", ">Chunks", ">Used", ">Free", ">Heard", ""], rows, "No node is known.")];
}

function act(node, may) {
  if (node.state === "alive" && may("drain")) return h("button", { "data-act": "drain", "data-what": node.name }, "Drain …");
  if (node.state === "draining" && may("undrain")) return h("button", { "data-act": "undrain", "data-what": node.name }, "Have back …");
  return null;
}

function jobTable(jobs, empty) {
  const rows = jobs.map((job) => [h("a", { href: `#/jobs/${job.job}` }, job.version ? `${job.dataset}@${job.version}` : job.dataset), jobState(job),
    h("progress", { max: Math.max(1, job.chunks), value: job.chunks_safe, "aria-label": "chunks safe" }), `${job.chunks_safe} of ${job.chunks}`, size(job.bytes_in), time(job.seconds), job.error || job.blocked.join("; ") || "–"]);
  return table(["Dataset", "State", "", ">Chunks safe", ">Read", ">Time", "Why"], rows, empty);
}

export const jobs = ({ jobs: found }) => [h("h1", {}, "Jobs"), found ? jobTable(found, "No job yet: `mcctl submit` makes one.") : h("p", {}, "Asking the cluster …")];

export function events({ events: found }) {
  if (!found) return [h("h1", {}, "Events"), h("p", {}, "Asking every node …")];
  const bad = (name) => (/down|dead|gone|removed/.test(name) ? "bad" : /suspect|frozen/.test(name) ? "warn" : null);
  const rows = found.events.map((one) => [h("time", { datetime: one.time }, new Date(one.time).toLocaleString([], { dateStyle: "short", timeStyle: "medium" })), marked(bad(one.event), one.event), one.node, one.seen_by, one.why || "–"]);
  return [h("h1", {}, "Events"), found.silent.map((one) => h("p", {}, marked("warn", `${one.node} was not asked: ${one.why}`))), table(["Time", "Event", "Node", "Seen by", "Why"], rows, "Nothing has happened yet.")];
}
