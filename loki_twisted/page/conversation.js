// What was said and done, as a conversation: messages, calls of tools with what came of them, marks.

import { Component, html, useMemo, useRef, useState } from "./html.js";
import { goOn, tell } from "./actions.js";
import { Call } from "./call.js";
import { Guard, Icon, Prose, hasEnded, promptOf, useFollowing } from "./parts.js";
import { Question } from "./questions.js";
import { abilities, inputs, may } from "./store.js";
import { At, clean, firstLine, plural, shorten } from "./text.js";

const MOST_LINES = 300; // of the log, where they stand for a conversation

/** Pair calls with their results, and leave out what says nothing. Gives blocks, each with its key. */
function blocksOf(items) {
  const blocks = [];
  const calls = new Map();
  const asked = new Map();
  const queued = new Map();
  for (const item of items) {
    const { type, data } = item;
    const block = { key: item.seq, at: item.at, type, data };
    if (type === "agent:output" && data.kind === "tool_call") {
      calls.set(data.callId ?? item.seq, block);
    } else if (type === "agent:output" && data.kind === "tool_result" && calls.has(data.callId)) {
      const call = calls.get(data.callId);
      call.result = data;
      call.took = item.at - call.at;
      continue;
    } else if (type === "input:requested") {
      asked.set(data.inputId, block);
    } else if ((type === "input:answered" || type === "input:withdrawn") && asked.has(data.inputId)) {
      asked.get(data.inputId).outcome = { type, data };
      continue;
    } else if (type === "message:queued") {
      queued.set(data.messageId, block);
    } else if (type.startsWith("message:") && queued.has(data.messageId)) {
      queued.get(data.messageId).outcome = type;
      continue;
    } else if (type === "phase:completed") {
      continue; // the next one begins, or the session ends
    }
    blocks.push(block);
  }
  return blocks;
}

/**
 * The same blocks, but those that are as they were before are the very objects: they are not drawn again.
 *
 * `before` is by key what was drawn last.
 */
function keepSame(blocks, before) {
  return blocks.map((block) => {
    const old = before.get(block.key);
    return old && old.result === block.result && isSame(old.outcome, block.outcome) ? old : block;
  });
}

/** Whether two outcomes, of a message or of a question, are the same. */
const isSame = (one, other) => one === other || (one?.data !== undefined && one.data === other?.data);

const MARKS = {
  "session:started": "Started",
  "session:paused": "Paused",
  "session:resumed": "Resumed",
  "session:stopped": "Stopped",
  "session:completed": "Completed",
  "session:failed": "Failed",
  "session:stalled": "Silent for long",
  "message:dropped": "A message was dropped",
};

function wordOfMark({ type, data }) {
  if (type === "phase:started") return html`<b>${clean(data.phase)}</b>${data.progress != null && html` <span class="num">${data.progress}%</span>`}`;
  if (type === "phase:failed") return html`<b>${clean(data.phase)}</b> failed`;
  if (type === "agent:spawned") return html`<b>${clean(data.agentId)}</b> joins in${data.task ? html` <span>for ${shorten(firstLine(data.task), 90)}</span>` : ""}`;
  if (type === "agent:completed") return html`<b>${clean(data.agentId)}</b> is done`;
  if (type === "agent:failed") return html`<b>${clean(data.agentId)}</b> failed`;
  const said = clean(data.message ?? data.reason ?? "");
  const word = MARKS[type] ?? type;
  if (said.startsWith(word)) return shorten(firstLine(said), 160);
  const reason = data.exitCode ? `${said || "Exit code"} ${said ? "" : data.exitCode}`.trim() : said;
  return html`${word}${reason ? html` <span>${shorten(firstLine(reason), 160)}</span>` : ""}`;
}

function toneOf(type) {
  if (type.endsWith("failed")) return "bad";
  return type === "session:completed" ? "good" : "";
}

function outcomeWords({ type, data }) {
  if (type === "input:withdrawn") return data.reason ? `Withdrawn: ${clean(data.reason)}` : "Withdrawn";
  const said = [data.answer].flat().map((each) => clean(typeof each === "string" ? each : JSON.stringify(each))).join(", ");
  return `${shorten(said, 200)}${data.answeredBy === "policy" ? " (nobody answered in time)" : ""}`;
}

/** A block is drawn again only when it is another one. */
class Turn extends Component {
  shouldComponentUpdate({ block }) {
    return block !== this.props.block;
  }

  render({ block }) {
    return html`<${Guard}><${Block} block=${block} /><//>`;
  }
}

function Block({ block }) {
  const { type, data, at } = block;
  if (type === "agent:output") return html`<${Said} block=${block} />`;
  if (type.startsWith("log:")) return html`<p class=${`mark-line log-mark ${type.slice(4)}`}><span><b>${clean(data.source)}</b> ${shorten(clean(data.text), 400)}</span><${At} at=${at} /></p>`;
  if (type === "message:queued" || type === "message:delivered") {
    const waits = type === "message:queued" && !block.outcome;
    return html`<div class="turn you"><div class="who">You <${At} at=${at} />${waits && html`<span class="tag tone-wait">queued</span>`}${block.outcome === "message:dropped" && html`<span class="tag tone-bad">dropped</span>`}</div><${Prose} text=${data.text ?? ""} /></div>`;
  }
  if (type === "input:requested") {
    const open = block.outcome ? null : inputs.value.find((each) => each.id === data.inputId);
    if (open) return html`<${Question} input=${open} alone />`;
    return html`<div class="turn ask"><div class="who">Asks <${At} at=${at} /></div><${Prose} text=${promptOf(data)} />
      <p class="outcome">${block.outcome ? html`<${Icon} name="check" /> ${outcomeWords(block.outcome)}` : html`<span class="faint">No longer open</span>`}</p></div>`;
  }
  if (type.startsWith("input:")) return html`<p class="mark-line"><span>${outcomeWords(block)}</span><${At} at=${at} /></p>`;
  return html`<p class=${`mark-line tone-${toneOf(type)} ${type.startsWith("phase:") ? "phase-line" : ""}`}><span>${wordOfMark(block)}</span><${At} at=${at} /></p>`;
}

function Said({ block }) {
  const { data, at } = block;
  const other = data.agentId && data.agentId !== "main" ? html`<span class="tag">${clean(data.agentId)}</span>` : null;
  if (data.kind === "tool_call") {
    return html`<div class="turn tool">${other}<${Call} tool=${data.tool ?? "Tool"} input=${data.input} output=${data.output} result=${block.result} took=${block.took} /></div>`;
  }
  if (data.kind === "tool_result") {
    return html`<div class="turn tool">${other}<${Call} tool=${data.tool ?? "Result"} output=${data.output} result=${data} /></div>`;
  }
  if (data.kind === "thinking") {
    return html`<details class="turn thinking"><summary>Thought <span>${shorten(firstLine(data.output ?? ""), 110)}</span></summary><${Prose} text=${data.output ?? ""} /></details>`;
  }
  return html`<div class="turn agent"><div class="who">${other ?? "Agent"} <${At} at=${at} /></div><${Prose} text=${data.output ?? ""} /></div>`;
}

/** What was said; of an agent that says nothing of its own, what it logs stands for that. */
function withLog({ talk, log }) {
  if (talk.items.some((each) => each.type === "agent:output")) return talk.items;
  const since = talk.hasEarlier ? (talk.items[0]?.seq ?? 0) : 0;
  const lines = log.items.slice(-MOST_LINES).filter((each) => each.seq > since && each.level !== "debug");
  const said = lines.map((each) => ({ seq: each.seq, at: each.at, type: `log:${each.level}`, data: each }));
  return [...talk.items, ...said].sort((a, b) => a.seq - b.seq);
}

export function Conversation({ model, session }) {
  const version = model.talk.version.value + model.log.version.value;
  const drawn = useRef(new Map());
  const blocks = useMemo(() => keepSame(blocksOf(withLog(model)), drawn.current), [version]);
  drawn.current = new Map(blocks.map((block) => [block.key, block]));
  const [ref, atEnd, toEnd] = useFollowing(version);
  const { talk } = model;
  const earlier = async () => {
    const box = ref.current;
    const before = box.scrollHeight - box.scrollTop;
    await model.earlierTalk();
    requestAnimationFrame(() => (box.scrollTop = box.scrollHeight - before));
  };
  const newest = async () => {
    if (talk.detached) await model.newestTalk();
    toEnd();
  };
  return html`
    <div class="talk">
      <div class="scroll" ref=${ref} tabindex="0" role="log" aria-live="off" aria-label="Conversation">
        <div class="turns">
          ${talk.hasEarlier && html`<button type="button" class="button quiet" onClick=${earlier}>Show what was before</button>`}
          ${model.loaded.value && !blocks.length && html`<p class="note">Nothing was said yet.</p>`}
          ${blocks.map((block) => html`<${Turn} key=${block.key} block=${block} />`)}
        </div>
      </div>
      ${(!atEnd || talk.detached) && html`<button type="button" class="button to-end" onClick=${newest}><${Icon} name="down" />Newest${talk.missed ? html` <span class="num">${plural(talk.missed, "new one")}</span>` : ""}</button>`}
      <${Composer} session=${session} />
    </div>
  `;
}

function Composer({ session }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const can = abilities.value.get(session.drivenBy ?? session.provider);
  const ended = hasEnded(session);
  const continues = ended && can?.continues && session.conversation;
  if (!may("write") || (!continues && (ended || !session.acceptsInput))) return null;
  const send = async (delivery) => {
    if (!text.trim() || busy) return;
    setBusy(true);
    const done = continues ? await goOn(session.id, text) : await tell(session.id, text, delivery);
    setBusy(false);
    if (done) setText("");
    if (continues && done) location.hash = `#/session/${encodeURIComponent(done)}`;
  };
  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send("next");
    }
  };
  const submit = (event) => {
    event.preventDefault();
    send("next");
  };
  const label = continues ? "Go on with this conversation in a new session" : "Message to the agent";
  return html`
    <form class="composer" onSubmit=${submit}>
      <label class="unseen" for="message">${label}</label>
      <textarea id="message" rows="2" placeholder=${label} value=${text} onKeyDown=${onKey} onInput=${(event) => setText(event.target.value)}></textarea>
      <div class="sends">
        ${!continues && can?.messaging === "now" && html`<button type="button" class="button" disabled=${busy || !text.trim()} title="Into what it is doing" onClick=${() => send("now")}>Now</button>`}
        <button type="submit" class="button primary" disabled=${busy || !text.trim()} title="Ctrl and Enter send too"><${Icon} name="send" />${continues ? "Continue" : "Send"}</button>
      </div>
    </form>
  `;
}
