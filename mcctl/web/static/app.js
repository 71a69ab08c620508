// Pages by the part of the address behind #; what they show comes as it changes.
import { h, patch } from "./draw.js";
import { job } from "./job.js";
import { events, jobs, nodes, overview } from "./overview.js";
import { topology } from "./topology.js";

const PAGES = { "": ["Overview", overview], topology: ["Topology", topology], jobs: ["Jobs", jobs], nodes: ["Nodes", nodes], events: ["Events", events] };
const state = { me: null, trace: null };
const heard = {};  // Of each topic: when it was last answered, and what is wrong now.
const at = (id) => document.getElementById(id);
const route = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

async function asked(path, how) {
  try {
    const answer = await fetch(`/api/v1${path}`, how);
    if (answer.status === 401) return { trouble: { message: "this browser is not let in any more", next: "open the address that `mcctl dashboard` shows" } };
    const found = await answer.json();
    return answer.ok ? { answer: found } : { trouble: found };
  } catch (error) {
    return { trouble: { message: `the dashboard does not answer (${error.message})`, next: "start `mcctl dashboard` again" } };
  }
}

function draw() {
  const [page, id] = route();
  const [name, view] = PAGES[page] || PAGES[""];
  const body = page === "jobs" && id ? job(state, id) : view(state);
  patch(at("main"), h("main", {}, body));
  patch(at("nav"), h("nav", {}, Object.entries(PAGES).map(([path, [title]]) => h("a", { href: `#/${path}`, "aria-current": path === (PAGES[page] ? page : "") && "page" }, title))));
  const word = state.status ? state.status.verdict.sentence : "…";
  document.title = `${word} – ${state.me ? state.me.cluster : "multicloud"} – ${name}`;
  at("cluster").textContent = state.me ? state.me.cluster : "multicloud";
}

function trouble() {
  const found = Object.values(heard).find((one) => one.trouble);
  const since = heard.status && heard.status.at ? ` What is shown is from ${new Date(heard.status.at * 1000).toLocaleTimeString()}.` : "";
  patch(at("trouble"), h("div", {}, found ? `✗ ${found.trouble.message}.${since} Next: ${found.trouble.next}` : null));
  at("clock").textContent = heard.status && heard.status.at ? `${found ? "last answer" : "live"} ${new Date(heard.status.at * 1000).toLocaleTimeString()}` : "";
}

function follow() {
  const news = new EventSource("/api/v1/live");
  for (const topic of ["status", "jobs", "links", "events"]) {
    news.addEventListener(topic, (message) => {
      const told = JSON.parse(message.data);
      heard[topic] = { at: told.trouble ? heard[topic] && heard[topic].at : told.at_unix_s, trouble: told.trouble };
      if (told.answer) state[topic] = told.answer;
      delete heard.server;
      trouble();
      draw();
    });
  }
  news.onerror = () => {
    heard.server = { trouble: { message: "the dashboard does not answer", next: "start `mcctl dashboard` again where it ran, and open the address that it prints" } };
    trouble();
  };
}

async function traceOf(id, query) {
  state.trace = null;
  draw();
  const found = await asked(`/jobs/${encodeURIComponent(id)}/trace${query ? `?${query}` : ""}`);
  state.trace = { job: id, query, ...found };
  draw();
}

const QUESTIONS = {
  drain: (what) => [`Drain ${what}?`, "Everything on it moves to other nodes; no new data is placed there. It can be had back.", "Drain it", `/nodes/${encodeURIComponent(what)}/drain`],
  undrain: (what) => [`Have ${what} back?`, "Data is placed on it again.", "Have it back", `/nodes/${encodeURIComponent(what)}/undrain`],
  cancel: (what) => [`Cancel the job ${what} for good?`, "It makes no version, and nothing takes this back. What is safe already stays.", "Cancel it for good", `/jobs/${encodeURIComponent(what)}/cancel`],
};

function ask(act, what) {
  const [question, why, yes, path] = QUESTIONS[act](what);
  at("ask-what").textContent = question;
  at("ask-why").textContent = why;
  at("ask-failed").textContent = "";
  at("ask-yes").textContent = yes;
  at("ask-yes").disabled = false;
  at("ask-no").onclick = () => at("ask").close();
  at("ask-yes").onclick = async () => {
    at("ask-yes").disabled = true;
    const found = await asked(path, { method: "POST" });
    if (!found.trouble) return at("ask").close();
    at("ask-failed").textContent = `${found.trouble.message}. Next: ${found.trouble.next}`;
    at("ask-yes").disabled = false;
  };
  at("ask").showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.act) ask(button.dataset.act, button.dataset.what);
  if (button.dataset.trace !== undefined) traceOf(button.dataset.job, button.dataset.trace);
});

function turned() {
  const [page, id] = route();
  draw();
  scrollTo(0, 0);
  if (page === "jobs" && id && !(state.trace && state.trace.job === id)) traceOf(id, "slowest=5");
}

// The link to the content is no page of its own.
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); at("main").focus(); });
addEventListener("hashchange", turned);
turned();
follow();
asked("/me").then((found) => { state.me = found.answer || null; draw(); });
