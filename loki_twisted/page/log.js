// The log: only the lines that can be seen are drawn, however many there are.

import { Component, html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { Icon } from "./parts.js";
import { absolute, clean, clock, compact, plural } from "./text.js";

const ROW = 22; // pixels; the style sheet has the same
const AROUND = 20; // rows drawn beyond either edge
const TOLD_MS = 700; // after the last letter
const LEVELS = ["debug", "info", "warn", "error"];

/** The lines that hold all of some words. A log that only grows is looked through only where it is new. */
class Search {
  constructor() {
    this.words = null;
    this.found = [];
    this.seen = 0; // the running number behind the last line that was looked at
    this.first = 0;
  }

  lines(log, said) {
    const words = said.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return log.items;
    const end = log.first + log.items.length;
    if (said !== this.words || log.first < this.first || end < this.seen) {
      Object.assign(this, { words: said, found: [], seen: log.first });
    }
    const from = Math.max(0, this.seen - log.first);
    for (let i = from; i < log.items.length; i++) {
      const line = log.items[i];
      const text = `${line.source} ${line.text}`.toLowerCase();
      if (words.every((word) => text.includes(word))) this.found.push(line);
    }
    const oldest = log.items[0]?.seq ?? 0;
    if (this.found[0]?.seq < oldest) this.found = this.found.filter((line) => line.seq >= oldest);
    Object.assign(this, { seen: end, first: log.first });
    return this.found;
  }
}

export function Log({ model }) {
  const { log } = model;
  const version = log.version.value;
  const [said, setSaid] = useState("");
  const [follows, setFollows] = useState(true);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const box = useRef(null);
  const search = useRef(null);
  search.current ??= new Search();
  const lines = search.current.lines(log, said);
  const told = useTold(said, lines.length);
  const [picked, setPicked, onKey] = usePicked(lines, box, height);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setHeight(entry.contentRect.height));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  // Lines that come before the others, or that are dropped there, must not move what is read.
  const held = useRef({ first: log.first, said });
  useLayoutEffect(() => {
    const moved = held.current.first - log.first;
    if (moved && held.current.said === said && !said && !follows) box.current.scrollTop += moved * ROW;
    held.current = { first: log.first, said };
    if (follows) box.current.scrollTop = lines.length * ROW;
  }, [version, follows, said, height]);

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    setTop(scrollTop);
    const atEnd = scrollHeight - scrollTop - clientHeight < ROW;
    if (atEnd !== follows && !(atEnd && log.detached)) setFollows(atEnd);
    if (scrollTop < 40 * ROW && log.hasEarlier && !log.loading && !said) model.earlierLog();
  };
  const toEnd = async () => {
    if (log.detached) await model.newestLog();
    setFollows(true);
  };
  const from = Math.max(0, Math.floor(top / ROW) - AROUND);
  const to = Math.min(lines.length, Math.ceil((top + height) / ROW) + AROUND);
  return html`
    <div class="log">
      <div class="filters">
        <label class="search"><${Icon} name="search" /><span class="unseen">Search the log</span>
          <input type="search" placeholder="Search these lines" value=${said} onInput=${(event) => setSaid(event.target.value)} /></label>
        <label class="sort"><span class="unseen">Least level</span>
          <select value=${model.level.value} onChange=${(event) => model.setLevel(event.target.value)}>
            ${LEVELS.map((level) => html`<option value=${level}>${level === "debug" ? "All levels" : level === "error" ? "Errors" : `${level} and above`}</option>`)}
          </select></label>
        <span class="note num">${said ? `${compact(lines.length)} of ${compact(log.items.length)} lines` : plural(log.items.length, "line")}${log.hasEarlier ? ", more before" : ""}</span>
        <span class="unseen" role="status">${told || null}</span>
        ${said && log.hasEarlier && html`<button type="button" class="link" onClick=${() => model.earlierLog()}>Look further back</button>`}
        <button type="button" class="chip follow" aria-pressed=${follows && !log.detached} onClick=${() => (follows && !log.detached ? setFollows(false) : toEnd())}>
          <${Icon} name="down" />Follow${log.missed ? html` <span class="num">${compact(log.missed)} new</span>` : ""}</button>
      </div>
      <div class="scroll lines" ref=${box} onScroll=${onScroll} onKeyDown=${onKey} tabindex="0" role="region"
        aria-label="Log lines" aria-description="Enter shows a whole line, the arrows others, Escape none.">
        <div class="canvas" style=${{ height: `${lines.length * ROW}px` }}>
          <div class="drawn" style=${{ transform: `translateY(${from * ROW}px)` }}>
            ${lines.slice(from, to).map((line) => html`<${Line} key=${line.seq} line=${line} picked=${picked === line} pick=${setPicked} />`)}
          </div>
        </div>
        ${model.loaded.value && !lines.length && html`<p class="note">${said ? "No line has these words." : "Nothing was logged yet."}</p>`}
      </div>
      ${picked && html`<${Whole} line=${picked} close=${() => (setPicked(null), box.current.focus())} />`}
    </div>
  `;
}

/** How much was found, said once to those who hear: not with each line that comes. */
function useTold(said, count) {
  const [told, setTold] = useState("");
  const latest = useRef(0);
  latest.current = count;
  useEffect(() => {
    if (!said.trim()) return setTold("");
    const timer = setTimeout(() => setTold(`${plural(latest.current, "line")} found`), TOLD_MS);
    return () => clearTimeout(timer);
  }, [said]);
  return told;
}

/**
 * The line that is shown whole: by a click, or by keys. Gives [picked, setPicked, onKey].
 *
 * Lines are no stops of the tabulator, there are too many: Enter picks the last one in sight, and
 * then the arrows go from line to line. Before that they scroll, as they do everywhere.
 */
function usePicked(lines, box, height) {
  const [picked, setPicked] = useState(null);
  const at = picked ? lines.indexOf(picked) : -1;
  useLayoutEffect(() => {
    if (at < 0) return;
    const { scrollTop, clientHeight } = box.current;
    const least = (at + 1) * ROW - clientHeight;
    if (scrollTop < least || scrollTop > at * ROW) box.current.scrollTop = scrollTop < least ? least : at * ROW;
  }, [picked, height]);
  const onKey = (event) => {
    const { scrollTop, clientHeight } = box.current;
    const last = Math.min(lines.length, Math.floor((scrollTop + clientHeight) / ROW)) - 1;
    const moves = at < 0 ? { Enter: last } : { ArrowUp: at - 1, ArrowDown: at + 1, Enter: at };
    if (event.key === "Escape") setPicked(null);
    if (!(event.key in moves)) return;
    event.preventDefault();
    setPicked(lines[moves[event.key]] ?? picked);
  };
  return [picked, setPicked, onKey];
}

/** A line never changes, so it is drawn once for as long as it is in sight. */
class Line extends Component {
  shouldComponentUpdate({ line, picked }) {
    return line !== this.props.line || picked !== this.props.picked;
  }

  render({ line, picked, pick }) {
    return drawLine(line, picked, pick);
  }
}

function drawLine(line, picked, pick) {
  return html`
    <div class=${`log-line ${line.level} ${picked ? "picked" : ""}`} onClick=${() => pick(line)}>
      <time datetime=${new Date(line.at).toISOString()} title=${absolute(line.at)}>${clock(line.at)}</time>
      <span class="level">${line.level}</span>
      <span class="source">${clean(line.source)}</span>
      <span class="text">${clean(line.text.length > 600 ? line.text.slice(0, 600) + "\u2026" : line.text)}</span>
    </div>
  `;
}

/** A line that was picked, with all of its words. */
function Whole({ line, close }) {
  return html`
    <aside class="whole" aria-label="The whole line" aria-live="polite">
      <header><span class=${`level ${line.level}`}>${line.level}</span>${line.source && html`<span class="tag">${clean(line.source)}</span>`}
        <span class="faint">${absolute(line.at)}</span>
        <button type="button" class="button quiet round" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
      <pre tabindex="0">${clean(line.text)}</pre>
    </aside>
  `;
}
