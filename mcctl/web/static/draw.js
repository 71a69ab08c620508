// Elements from values, never from text that is read as HTML; and a page that changes where it must.

export function h(tag, facts, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(facts || {})) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) made.append(child);
  }
  return made;
}

// Makes `old` look like `fresh` and keeps every element that can stay, so focus and scrolling do too.
export function patch(old, fresh) {
  const had = [...old.childNodes], wanted = [...fresh.childNodes];
  wanted.forEach((want, place) => {
    const is = had[place];
    if (!is) old.append(want);
    else if (is.nodeName !== want.nodeName) is.replaceWith(want);
    else if (want.nodeType === Node.TEXT_NODE) { if (is.data !== want.data) is.data = want.data; }
    else { facts(is, want); patch(is, want); }
  });
  had.slice(wanted.length).forEach((gone) => gone.remove());
}

function facts(is, want) {
  for (const { name } of [...is.attributes]) if (!want.hasAttribute(name)) is.removeAttribute(name);
  for (const { name, value } of want.attributes) if (is.getAttribute(name) !== value) is.setAttribute(name, value);
  if (is.style.cssText !== want.style.cssText) is.style.cssText = want.style.cssText;
}

export function placed(element, left, width) {
  element.style.left = `${left}%`;
  element.style.width = `${width}%`;
  return element;
}

// Columns whose name begins with > are figures.
export function table(columns, rows, empty) {
  if (!rows.length) return h("p", { class: "quiet" }, empty);
  const names = columns.map((name) => name.replace(">", ""));
  const side = columns.map((name) => (name.startsWith(">") ? "n" : null));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": names[0] }, h("table", { class: "rows" },
    h("thead", {}, h("tr", {}, names.map((name, at) => h("th", { scope: "col", class: side[at] }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, at) => h("td", { class: side[at], "data-label": names[at] }, cell)))))));
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let place = 0;
  while (bytes >= 1024 && place < units.length - 1) { bytes /= 1024; place += 1; }
  return `${place ? bytes.toFixed(bytes < 10 ? 2 : 1) : Math.round(bytes)} ${units[place]}`;
}

export const many = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

export function time(seconds) {
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

export const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} s` : value >= 10 ? `${value.toFixed(0)} ms` : `${value.toFixed(2)} ms`);
