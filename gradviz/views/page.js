// What a reader can do with a drawing: move, zoom, search, ask a box, follow a finding.
// The page is read without it, too.
// What is shown stands in the address, #box=12, #finding=1 or #find=relu, so that a link leads to it.
"use strict";

const id = name => document.getElementById(name);
const data = JSON.parse(id("data").textContent);
const view = id("view"), field = id("find"), panel = id("box");
const svg = view.querySelector("svg"), page = svg.viewBox.baseVal;
const parts = [...svg.querySelector("g").children];
const those = selector => parts.filter(part => part.matches(selector));
const boxes = those("g[class]:not(.lost)"), crosses = those(".lost"), tabs = those("g:not([class])");
const numbers = new Map(boxes.map((box, at) => [box, at]));
// By number: a finding that is not drawn has no link.
const links = document.querySelectorAll("#findings a");

const LEAST = 0.02, LEGIBLE = 0.3, READABLE = 0.6, MOST = 5;
// Lines of source on each side of a box's own; neighbours told one by one; boxes lit while the pointer moves.
const AROUND = 4, LISTED = 30, AT_ONCE = 1500;

// Elements. Text goes in as text, so nothing that a program calls its tensors can become markup.

function make(tag, attributes, ...content) {
  const drawn = ["g", "rect", "path"].includes(tag);
  const made = document.createElementNS(drawn ? svg.namespaceURI : document.body.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

// Zoom. The drawing is as wide as the scale says, and the view scrolls.

let scale = 1, fitted = true;

function size(wanted) {
  scale = Math.min(MOST, Math.max(LEAST, wanted));
  svg.style.width = `${page.width * scale}px`;
}

// To the width; where nothing could be read then, to the height.
function fit() {
  const across = view.clientWidth / page.width, down = view.clientHeight / page.height;
  size(Math.min(1, across < LEGIBLE ? Math.max(across, down) : across));
  fitted = true;
}

function zoom(wanted, x, y) {
  const around = view.getBoundingClientRect();
  x ??= around.left + view.clientWidth / 2;
  y ??= around.top + view.clientHeight / 2;
  const before = svg.getBoundingClientRect(), old = scale;
  size(wanted);
  fitted = false;
  const after = svg.getBoundingClientRect();
  view.scrollLeft += after.left + (x - before.left) * scale / old - x;
  view.scrollTop += after.top + (y - before.top) * scale / old - y;
}

function outline(part) {
  const { x, y, width, height } = part.querySelector("rect,polygon").getBBox();
  return { left: x - 5, top: y - 5, right: x + width + 5, bottom: y + height + 5 };
}

function reveal(areas) {
  const most = (pick, side) => pick(...areas.map(area => area[side]));
  const across = most(Math.max, "right") - most(Math.min, "left");
  const down = most(Math.max, "bottom") - most(Math.min, "top");
  const room = Math.min(view.clientWidth / (across + 80), view.clientHeight / (down + 80));
  if (room < READABLE) areas = areas.slice(0, 1);
  if (scale < READABLE || scale > room) zoom(Math.min(1, Math.max(READABLE, room)));
  const drawn = svg.getBoundingClientRect(), around = view.getBoundingClientRect();
  const scroll = (from, to, start, origin, length) => {
    const first = start + (most(Math.min, from) - origin) * scale, last = start + (most(Math.max, to) - origin) * scale;
    return first < 0 || last > length ? (first + last - length) / 2 : 0;
  };
  view.scrollBy(
    scroll("left", "right", drawn.left - around.left, page.x, view.clientWidth),
    scroll("top", "bottom", drawn.top - around.top, page.y, view.clientHeight),
  );
}

// Wires. Many of a kind share a path, in which each begins with an M; they are in the order of the data.

const tails = wire => data.ends[2 * wire], heads = wire => data.ends[2 * wire + 1];
const kinds = data.wires.flatMap(([kind, count]) => Array(count).fill(kind));
const into = boxes.map(() => []), onward = boxes.map(() => []);
kinds.forEach((_, wire) => {
  onward[tails(wire)].push(wire);
  into[heads(wire)].push(wire);
});
let lines = null;

function readLines() {
  lines = [];
  let first = 0;
  for (const path of those("path:not(.re,.rw)")) {
    const style = path.getAttribute("class"), ways = path.getAttribute("d").match(/M[^M]*/g);
    if (!style.endsWith("h")) first = lines.length;
    ways.forEach((way, at) => (lines[first + at] ??= []).push([style, way]));
  }
}

function follow(box, wires, end) {
  const reached = new Set([box]), taken = [];
  // It grows while it is gone through.
  for (const at of reached) {
    for (const wire of wires[at]) {
      taken.push(wire);
      reached.add(end(wire));
    }
  }
  return { reached, taken };
}

function roads(box) {
  const up = follow(box, into, tails), down = follow(box, onward, heads);
  return { reached: new Set([...up.reached, ...down.reached]), taken: [...up.taken, ...down.taken] };
}

// What lies over the drawing: a veil, and on it what is lit; rings around hits and around what was asked for.

const over = svg.appendChild(make("g", { id: "over" }));
const copy = part => over.append(part.cloneNode(true));

function light({ reached, taken }, band) {
  if (!lines) readLines();
  const ways = new Map(band ? [[band, ""]] : []), lost = new Set(taken);
  for (const wire of taken) {
    for (const [style, way] of lines[wire]) ways.set(style, (ways.get(style) ?? "") + way);
    if (band) ways.set(band, ways.get(band) + lines[wire][0][1]);
  }
  over.append(make("rect", { class: "veil", x: page.x, y: page.y, width: page.width, height: page.height }));
  for (const [style, d] of ways) over.append(make("path", { class: style, d }));
  reached.forEach(at => copy(boxes[at]));
  data.lost.forEach((wire, at) => lost.has(wire) && copy(crosses[at]));
}

function ring(style, areas) {
  const way = ({ left, top, right, bottom }) => `M${left + 6} ${top}H${right - 6}q6 0 6 6V${bottom - 6}q0 6-6 6` +
    `H${left + 6}q-6 0-6-6V${top + 6}q0-6 6-6z`;
  if (areas.length) over.append(make("path", { class: style, d: areas.map(way).join("") }));
}

// Search.

let texts = null;

function search(words) {
  texts ??= data.boxes.map(box => [box[0], ...box[2].map(at => data.words[at]), ""].join("\n").toLowerCase());
  let wanted = words.trim().toLowerCase();
  // Line 1 is not line 12.
  if (/:\d+$/.test(wanted)) wanted += "\n";
  return wanted ? [...texts.keys()].filter(at => texts[at].includes(wanted)) : [];
}

function next(step) {
  const at = hits.indexOf(here) + step;
  if (hits.length) go({ find: field.value, box: hits[(at + hits.length) % hits.length] });
}

// Details of a box.

function source(site) {
  if (site < 0) return [];
  const [file, first, last] = data.sites[site], known = data.files[file][1];
  const near = Object.keys(known).filter(line => line >= first - AROUND && line <= last + AROUND);
  const indent = Math.min(...near.map(line => known[line].search(/\S/)));
  const shown = near.flatMap(line => {
    const text = `${line.padStart(near.at(-1).length)}  ${known[line].slice(indent)}`;
    return [line < first || line > last ? text : make("mark", {}, text), "\n"];
  });
  return near.length ? [make("pre", { "aria-label": "Source" }, ...shown)] : [];
}

function ends(heading, wires, end) {
  const told = [...new Set(wires.map(wire => `${end(wire)} ${kinds[wire]}`))];
  const items = told.slice(0, LISTED).map(text => {
    const at = parseInt(text), link = make("a", { href: `#box=${at}` }, data.boxes[at][0] || "unnamed");
    return make("li", {}, link, ` · ${text.slice(text.indexOf(" ") + 1)}`);
  });
  if (told.length > LISTED) items.push(make("li", {}, `and ${told.length - LISTED} more`));
  return items.length ? [make("h3", {}, heading), make("ul", {}, ...items)] : [];
}

function tell(at) {
  const [title, detail, , site, pairs] = data.boxes[at], focused = panel.contains(document.activeElement);
  const facts = pairs.flatMap(pair => [make("dt", {}, data.pairs[pair][0]), make("dd", {}, data.pairs[pair][1])]);
  const heading = make("h2", { tabindex: "-1" }, title);
  const kind = data.kinds[boxes[at].classList[0]];
  panel.replaceChildren(
    heading, make("p", {}, detail ? `${kind} · ${detail}` : kind), ...source(site), make("dl", {}, ...facts),
    ...ends("From", into[at], tails), ...ends("To", onward[at], heads),
  );
  panel.hidden = false;
  heading.scrollIntoView({ block: "nearest" });
  if (focused) heading.focus();
}

// What is asked for: `here` is its box, or -1; while it is `held`, the pointer lights nothing else.

let hits = [], here = -1, held = false;

const asked = () => show(new URLSearchParams(location.hash.slice(1)));

function go(wanted) {
  const before = location.hash;
  location.hash = new URLSearchParams(wanted);
  // What was typed stands in no address.
  if (location.hash === before) asked();
}

function show(wanted) {
  const words = wanted.get("find") ?? "", number = wanted.get("finding") - 1, at = Number(wanted.get("box") ?? -1);
  if (field.value !== words) field.value = words;
  hits = search(words);
  here = at in boxes ? at : hits[0] ?? -1;
  held = number in links || (here >= 0 && !words);
  const count = hits.includes(here) ? `${hits.indexOf(here) + 1} of ${hits.length}` : `${hits.length || "no"} hits`;
  id("hits").value = words && count;
  links.forEach((link, at) => link.setAttribute("aria-current", at === number));
  over.replaceChildren();
  panel.hidden = here < 0;
  if (number in links) blame(number);
  if (here < 0) return;
  mark();
  reveal([outline(boxes[here])]);
  tell(here);
}

function mark() {
  if (held && here >= 0) light(roads(here));
  ring("hit", hits.map(hit => outline(boxes[hit])));
  if (here >= 0) ring("here", [outline(boxes[here])]);
}

function blame(number) {
  const [culprits, frames, road] = data.findings[number];
  const reached = new Set([...culprits, ...road.flatMap(wire => [tails(wire), heads(wire)])]);
  if (road.length) light({ reached, taken: road }, links[number].closest(".error") ? "re" : "rw");
  frames.forEach(frame => copy(tabs[frame]));
  const areas = [...culprits.map(at => boxes[at]), ...frames.map(at => tabs[at])].map(outline);
  ring("here", areas);
  if (areas.length) reveal(areas);
  links[number].closest("li").scrollIntoView({ block: "nearest" });
}

// Pointer, wheel, fingers, keys.

const boxAt = target => numbers.get(target.closest("#view svg > g > g")) ?? -1;
let drag = null, resting = 0, spread = 0;

view.addEventListener("pointerdown", event => {
  // A finger scrolls by itself.
  if (event.button || event.pointerType === "touch") return;
  drag = { x: event.clientX, y: event.clientY, left: view.scrollLeft, top: view.scrollTop };
});

addEventListener("pointermove", event => {
  if (!drag) return;
  const x = event.clientX - drag.x, y = event.clientY - drag.y;
  if (Math.hypot(x, y) > 4) view.classList.add("moved");
  if (view.classList.contains("moved")) view.scrollTo(drag.left - x, drag.top - y);
});

addEventListener("pointerup", () => {
  drag = null;
  // After the click that ends a drag.
  setTimeout(() => view.classList.remove("moved"));
});

view.addEventListener("click", event => {
  const at = boxAt(event.target);
  if (!view.classList.contains("moved")) go(at < 0 ? {} : { box: at });
});

svg.addEventListener("pointerover", event => event.pointerType === "touch" || rest(boxAt(event.target)));
svg.addEventListener("pointerleave", () => rest(-1));

function rest(at) {
  clearTimeout(resting);
  resting = setTimeout(hover, 60, at);
}

function hover(at) {
  if (held || drag) return;
  const road = at < 0 ? null : roads(at);
  over.replaceChildren();
  if (road && road.reached.size <= AT_ONCE) light(road);
  mark();
}

view.addEventListener("wheel", event => {
  // With Shift it scrolls sideways.
  if (event.shiftKey) return;
  event.preventDefault();
  const way = event.deltaY * (event.deltaMode ? 16 : 1) * (event.ctrlKey ? 5 : 1);
  zoom(scale * Math.exp(-Math.max(-200, Math.min(200, way)) / 500), event.clientX, event.clientY);
}, { passive: false });

view.addEventListener("touchmove", event => {
  if (event.touches.length !== 2) return;
  event.preventDefault();
  const [one, other] = event.touches, x = one.clientX + other.clientX, y = one.clientY + other.clientY;
  const apart = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  if (spread) zoom(scale * apart / spread, x / 2, y / 2);
  spread = apart;
}, { passive: false });

view.addEventListener("touchend", () => { spread = 0; });

const closer = () => zoom(scale * 1.25), farther = () => zoom(scale / 1.25);
const KEYS = { "/": () => field.focus(), "+": closer, "=": closer, "-": farther, 0: fit };

addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    field.value = "";
    go({});
  } else if (event.target !== field && event.key in KEYS) KEYS[event.key]();
  else if (event.target === field && event.key === "Enter") next(event.shiftKey ? -1 : 1);
  else return;
  event.preventDefault();
});

field.addEventListener("input", () => show(new URLSearchParams({ find: field.value })));
id("tools").addEventListener("submit", event => event.preventDefault());
id("in").addEventListener("click", closer);
id("out").addEventListener("click", farther);
id("fit").addEventListener("click", fit);
addEventListener("resize", () => fitted && fit());
addEventListener("hashchange", asked);

id("tools").hidden = id("keys").hidden = false;
view.classList.add("live");
fit();
// Of what does not fit on the page, the part that matters is seen first.
const [x, y] = view.dataset.at.split(" ");
view.scrollTo((x - page.x) * scale - view.clientWidth / 2, (y - page.y) * scale - view.clientHeight / 2);
asked();
