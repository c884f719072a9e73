// The form that starts a session.

import { html, useRef, useState } from "./html.js";
import { Problem, Unreachable, onceKey } from "./api.js";
import { start } from "./actions.js";
import { Barred, Field, Icon } from "./parts.js";
import { may, providers } from "./store.js";

const ABOUT = {
  demo: "A play. No model, no account, no network.",
  claude: "Claude Code",
  codex: "OpenAI Codex",
  cline: "Cline",
  aider: "Aider",
  opencode: "opencode",
  gemini: "Gemini CLI",
  copilot: "GitHub Copilot",
  goose: "Goose",
  loki: "Loki Mode",
  command: "Any program, by its own command line",
  acp: "Any agent that speaks ACP",
  replay: "Plays a recording",
};

const NUMBERS = new Set(["priority", "options.budgetUsd", "options.maxTokens", "options.timeout"]);
const MINUTE = 60_000;

function blank() {
  return {
    provider: "", prompt: "", projectDir: "", prdPath: "", model: "", command: "", priority: "",
    queue: true, "options.budgetUsd": "", "options.maxTokens": "", "options.timeout": "",
    "options.onUnanswered": "", "options.stayOpen": false, "options.dryRun": false,
    "options.verbose": false, "options.direct": false,
  };
}

/** The body of the request; what was left empty is left out. */
function bodyOf(values) {
  const body = {};
  for (const [path, value] of Object.entries(values)) {
    if (value === "" || value === false) continue;
    const [name, inner] = path.split(".");
    const sent =
      path === "command" ? value.trim().split(/\n/) : NUMBERS.has(path) ? asNumber(path, value) : value;
    if (inner) body[name] = { ...body[name], [inner]: sent };
    else body[name] = sent;
  }
  return body;
}

function asNumber(path, text) {
  const number = Number(text);
  if (Number.isNaN(number)) return text; // the server says what is wrong with it
  return path === "options.timeout" ? Math.round(number * MINUTE) : number;
}

function faultsOf(problem) {
  const faults = new Map();
  for (const { path, message } of problem.fields) {
    const name = path.startsWith("command") ? "command" : path;
    faults.set(name, faults.has(name) ? `${faults.get(name)}; ${message}` : sentence(message));
  }
  return faults;
}

/** Whether a field stands among those that are folded. */
const isFurther = (name) => name.includes(".") || ["model", "priority", "queue"].includes(name);

const sentence = (text) => `This ${text}.`.replace(/\.\.$/, ".");

export function Start() {
  const [values, setValues] = useState(blank);
  const [faults, setFaults] = useState(new Map());
  const [refusal, setRefusal] = useState(null);
  const [busy, setBusy] = useState(false);
  const [more, setMore] = useState(false);
  const form = useRef(null);
  const key = useRef(null);
  const known = providers.value;
  const chosen = values.provider || usual(known);
  const set = (name, value) => {
    key.current = null; // another request than before
    setValues({ ...values, [name]: value });
    if (faults.has(name)) setFaults(new Map([...faults].filter(([each]) => each !== name)));
  };
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    setFaults(new Map());
    key.current ??= onceKey();
    try {
      const id = await start(bodyOf({ ...values, provider: chosen }), key.current);
      location.hash = `#/session/${encodeURIComponent(id)}`;
    } catch (error) {
      setBusy(false);
      // Without an answer nobody knows whether it has started: the same once more, then.
      if (!(error instanceof Unreachable)) key.current = null;
      const found = error instanceof Problem ? faultsOf(error) : new Map();
      setFaults(found);
      if ([...found.keys()].some(isFurther)) setMore(true);
      const beside = [...found.keys()].filter((name) => name in values);
      if (beside.length < found.size || !found.size) setRefusal(error);
      queueMicrotask(() => requestAnimationFrame(() => form.current?.querySelector(".wrong input, .wrong textarea, .wrong select")?.focus()));
    }
  };
  const field = { values, set, faults };
  return html`
    <div class="view start">
      <header class="head"><h1>New session</h1></header>
      <form ref=${form} class="form" onSubmit=${submit} novalidate>
        <${Providers} known=${known} chosen=${chosen} set=${set} fault=${faults.get("provider")} />
        <${Text} ...${field} name="prompt" label="What is to be done" rows="5" help="In your own words. Leave it empty if a document says it." />
        ${chosen === "command" && html`<${Text} ...${field} name="command" label="Command" rows="3" help="One argument a line, the program first. No shell sees them." mono />`}
        <div class="pair">
          <${Line} ...${field} name="projectDir" label="Project directory" help="Where the agent works. The server\u2019s own by default." mono />
          <${Line} ...${field} name="prdPath" label="Document" help="A file to work from, relative to the project directory." mono />
        </div>
        <details class="further" open=${more} onToggle=${(event) => setMore(event.currentTarget.open)}>
          <summary>More: model, limits, how it waits</summary>
          <div class="pair">
            <${Line} ...${field} name="model" label="Model" help="The agent\u2019s own choice by default." mono />
            <${Line} ...${field} name="priority" label="Priority" help="\u2212100 to 100. In line the higher goes first." mode="numeric" />
            <${Line} ...${field} name="options.budgetUsd" label="Budget in US dollars" help="It is stopped when it has spent more." mode="decimal" />
            <${Line} ...${field} name="options.maxTokens" label="Token limit" help="It is stopped when it has used more." mode="numeric" />
            <${Line} ...${field} name="options.timeout" label="Time limit in minutes" help="It is stopped after so long." mode="decimal" />
            <${Field} name="options.onUnanswered" label="Questions that nobody answers" faults=${faults}>
              <select id="field-options.onUnanswered" value=${values["options.onUnanswered"]} onChange=${(event) => set("options.onUnanswered", event.target.value)}>
                <option value="">As the server is set</option><option value="wait">Wait</option>
                <option value="deny">Deny</option><option value="allow">Allow</option>
              </select>
            <//>
          </div>
          <div class="switches">
            <${Switch} ...${field} name="queue" label="Wait in line if there is no slot" />
            <${Switch} ...${field} name="options.stayOpen" label="Stay for more messages when the work is done" />
            <${Switch} ...${field} name="options.dryRun" label="Only say what would be done" />
            <${Switch} ...${field} name="options.verbose" label="Say more" />
            <${Switch} ...${field} name="options.direct" label="Run the agent\u2019s own program, not Loki Mode" />
          </div>
        </details>
        ${refusal && html`<${Refusal} error=${refusal} />`}
        <${Barred} scope="write" what="Starting a session" />
        <div class="submit"><button type="submit" class="button primary large" disabled=${busy || !chosen || !may("write")}>
          <${Icon} name="play" />${busy ? "Starting\u2026" : "Start"}</button><a class="button quiet" href="#/">Cancel</a></div>
      </form>
    </div>
  `;
}

function Refusal({ error }) {
  const other = error.details?.sessionId;
  const faults = error.fields ?? [];
  return html`
    <div class="refusal" role="alert">
      <strong>${error.message}</strong>
      ${faults.length > 0 && html`<ul>${faults.map(({ path, message }) => html`<li><code>${path}</code> ${message}</li>`)}</ul>`}
      ${other && html`<a href=${`#/session/${encodeURIComponent(other)}`}>Look at the session that runs there</a>`}
    </div>
  `;
}

const LAST = ["demo", "command", "acp", "replay"];

/** What most people want: an agent, or where there is none the demo. */
function usual(known) {
  const here = known.filter((each) => each.available).map((each) => each.name);
  return here.find((name) => !LAST.includes(name)) ?? here[0] ?? "";
}

function Providers({ known, chosen, set, fault }) {
  const here = known.filter((each) => each.available);
  const absent = known.filter((each) => !each.available).map((each) => each.name);
  return html`
    <fieldset class=${`providers ${fault ? "wrong" : ""}`}>
      <legend>Agent</legend>
      <div class="choices">
        ${here.map(
          ({ name, abilities }) => html`
            <label class="choice">
              <input type="radio" name="provider" value=${name} checked=${chosen === name} onChange=${() => set("provider", name)} />
              <span><strong>${name}</strong><small>${ABOUT[name] ?? ""}</small><small>${skills(abilities)}</small></span>
            </label>
          `,
        )}
      </div>
      ${absent.length > 0 && html`<p class="help">Not on this machine: ${absent.join(", ")}.</p>`}
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
    </fieldset>
  `;
}

function skills({ asks, messaging, continues }) {
  const can = [asks && "asks", messaging !== "never" && "takes messages", continues && "continues"];
  return can.filter(Boolean).join(" \u00b7 ");
}

const described = (name, faults) => `${faults.has(name) ? "fault" : "help"}-${name}`;

function Line({ name, label, help, values, set, faults, mode, mono }) {
  return html`
    <${Field} name=${name} label=${label} help=${help} faults=${faults}>
      <input id=${`field-${name}`} type="text" class=${mono ? "mono" : ""} inputmode=${mode} autocomplete="off" spellcheck=${false}
        aria-invalid=${faults.has(name) ? "true" : undefined} aria-describedby=${described(name, faults)}
        value=${values[name]} onInput=${(event) => set(name, event.target.value)} />
    <//>
  `;
}

function Text({ name, label, help, values, set, faults, rows, mono }) {
  return html`
    <${Field} name=${name} label=${label} help=${help} faults=${faults} wide>
      <textarea id=${`field-${name}`} rows=${rows} class=${mono ? "mono" : ""}
        aria-invalid=${faults.has(name) ? "true" : undefined} aria-describedby=${described(name, faults)}
        value=${values[name]} onInput=${(event) => set(name, event.target.value)}></textarea>
    <//>
  `;
}

function Switch({ name, label, values, set, faults }) {
  const fault = faults.get(name);
  return html`
    <label class="switch"><input type="checkbox" checked=${values[name]} onChange=${(event) => set(name, event.target.checked)} />
      <span>${label}</span>${fault && html`<span class="fault" role="alert">${fault}</span>`}</label>
  `;
}
