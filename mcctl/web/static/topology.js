// Where nodes stand, and how far apart they are.
import { h } from "./draw.js";
import { nodeState } from "./overview.js";

const LIMITS_MS = [2, 20, 60, 120];
const shade = (ms) => { const at = LIMITS_MS.findIndex((limit) => ms <= limit); return at < 0 ? 4 : at; };

export function topology({ status, links }) {
  if (!status) return [h("p", {}, "Asking the cluster …")];
  return [h("h1", {}, "Topology"), places(status.nodes), h("h2", {}, "Round trips, in milliseconds"), links ? matrix(status.nodes, links) : h("p", {}, "Asking …")];
}

function places(nodes) {
  const clouds = Map.groupBy ? Map.groupBy(nodes, (node) => node.cloud || "place not known") : grouped(nodes);
  return h("div", { class: "clouds" }, [...clouds].sort().map(([cloud, here]) => h("section", { class: "cloud" }, h("h3", {}, cloud),
    h("ul", {}, here.map((node) => h("li", {}, nodeState(node), ` ${node.name} `, h("span", { class: "quiet" }, [node.region, node.zone].filter(Boolean).join(" / "))))))));
}

function grouped(nodes) {
  const found = new Map();
  for (const node of nodes) found.set(node.cloud || "place not known", [...(found.get(node.cloud || "place not known") || []), node]);
  return found;
}

function matrix(nodes, links) {
  const away = new Set(nodes.filter((node) => !["alive", "draining"].includes(node.state)).map((node) => node.name));
  const known = links.pairs.flatMap((pair) => [pair.from, pair.to]);
  const names = [...new Set(links.by === "node" ? [...known, ...nodes.map((node) => node.name)] : known)].sort();
  const cells = new Map();
  for (const pair of links.pairs) { cells.set(`${pair.from} ${pair.to}`, pair); cells.set(`${pair.to} ${pair.from}`, pair); }
  const cell = (from, to) => {
    if (from === to) return h("td", { class: "none" }, "·");
    if (away.has(from) || away.has(to)) return h("td", { class: "away", title: `${away.has(from) ? from : to} is away` }, "✗");
    const pair = cells.get(`${from} ${to}`);
    if (!pair) return h("td", { class: "none" }, "–");
    const text = pair.ms >= 100 ? pair.ms.toFixed(0) : pair.ms >= 0.1 ? pair.ms.toFixed(1) : "<0.1";
    return h("td", { class: `h${shade(pair.ms)}`, title: `${from} – ${to}: ${pair.source}` }, pair.source === "measured" ? text : `~${text}`);
  };
  return h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Matrix of round trips" }, h("table", { class: "matrix" },
    h("thead", {}, h("tr", {}, h("th", {}, ""), names.map((name) => h("th", { class: "top", scope: "col" }, name)))),
    h("tbody", {}, names.map((from) => h("tr", {}, h("th", { scope: "row" }, from), names.map((to) => cell(from, to))))))),
  h("p", { class: "legend" }, ["up to 2", "20", "60", "120", "more"].map((text, at) => h("span", { class: `h${at}` }, text)), h("span", { class: "quiet" }, " ~ an estimate, ✗ a node that is away")));
}
