// What the page knows: sessions, open questions, and the session that is looked at.

import { batch, computed, signal } from "./html.js";
import { Problem, get, query } from "./api.js";
import { SessionModel } from "./session_model.js";
import { Follower } from "./stream.js";
import { now } from "./text.js";

const MOST_SESSIONS = 500;
const REFRESH_MS = 400;
const COUNT_MS = 15_000; // between two looks at how many sessions there are

/** By id, newest first. The map is replaced when something in it changes. */
export const sessions = signal(new Map());

/** How many there are on the server: more than we keep, maybe. */
export const total = signal(0);

/** Whether the lists have been read once. */
export const ready = signal(false);

/** The open questions of all agents, oldest first. */
export const inputs = signal([]);

/** What has become of questions that were open a moment ago: `[{input, by, answer, at}]`. */
export const settled = signal([]);

/** The kinds of agents. */
export const providers = signal([]);

/** What we may do here: the scopes of our token, null before that is known. */
const scopes = signal(null);

/** Whether we may do what takes a scope. Before it is known we try: the server says. */
export const may = (scope) => scopes.value?.includes(scope) ?? true;

/** The session that is looked at, or null. */
export const opened = signal(null);

export const abilities = computed(
  () => new Map(providers.value.map((each) => [each.name, each.abilities])),
);

/** Short words that come and go: `[{id, text, kind}]`. */
export const toasts = signal([]);

let lastToast = 0;

export function say(text, kind = "info") {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, text, kind }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((each) => each.id !== id);
  }, kind === "error" ? 9000 : 5000);
}

export const dismiss = (id) => {
  toasts.value = toasts.value.filter((each) => each.id !== id);
};

export const FINAL = new Set(["stopped", "failed", "completed"]);

// Reading how things stand

async function readLists() {
  const [listed, asked, kinds, status] = await Promise.all([
    get(query("api/sessions", { limit: MOST_SESSIONS })),
    get("api/inputs"),
    get("api/providers"),
    get("api/status"),
  ]);
  batch(() => {
    const old = sessions.value.get(opened.value?.id);
    total.value = listed.total;
    keep(new Map([...(old ? [old] : []), ...listed.sessions].map((each) => [each.id, each])));
    if (opened.value && !listed.sessions.some((each) => each.id === opened.value.id)) {
      refresh(opened.value.id); // it is too old for the list, or gone
    }
    settle(asked.inputs);
    providers.value = kinds.providers;
    scopes.value = status.caller?.scopes ?? null;
    ready.value = true;
  });
}

async function readInputs() {
  settle((await get("api/inputs")).inputs);
}

function settle(asked) {
  const ids = new Set(asked.map((each) => each.id));
  for (const each of inputs.value) if (!ids.has(each.id)) noteSettled(each, {});
  inputs.value = asked;
}

function noteSettled(input, { answeredBy, answer, reason }) {
  const note = { input, by: answeredBy, answer, reason, at: Date.now() };
  const others = settled.value.filter((each) => each.input.id !== input.id);
  settled.value = [note, ...others].slice(0, 20);
}

/** What is asked for again and again is done at most once in a while, and the last time too. */
function lazily(work, ms) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    await Promise.resolve(work()).catch(() => {}); // the stream tells whether we are cut off
    setTimeout(() => {
      running = false;
      if (again) {
        again = false;
        run();
      }
    }, ms);
  };
}

const refreshInputs = lazily(readInputs, REFRESH_MS);
export const refreshLists = lazily(readLists, REFRESH_MS);

// Sessions of which something was told are read anew: an event says what happened, not all that follows.

const stale = new Set();

const refreshStale = lazily(async () => {
  const ids = [...stale];
  stale.clear();
  if (ids.length > 12) {
    await readLists();
    return;
  }
  const found = await Promise.all(ids.map(readSession));
  const next = new Map(sessions.value);
  found.forEach((session, i) => {
    if (session === null) lose(ids[i], next);
    else if (session) next.set(ids[i], session);
  });
  keep(next);
}, REFRESH_MS);

/** Let a session go whose record was deleted. */
function lose(id, known) {
  if (known.delete(id)) total.value -= 1;
  if (opened.value?.id === id) opened.value.missing.value = true;
}

/** Keep the newest sessions, and the one that is looked at however old it is. */
function keep(known) {
  const sorted = [...known.values()].sort((a, b) => b.startedAt.localeCompare(a.startedAt));
  const kept = sorted.filter((each, at) => at < MOST_SESSIONS || each.id === opened.value?.id);
  sessions.value = new Map(kept.map((each) => [each.id, each]));
  total.value = Math.max(total.value, kept.length);
}

async function readSession(id) {
  try {
    return (await get(`api/sessions/${encodeURIComponent(id)}`)).session;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    stale.add(id);
    return undefined;
  }
}

/** Read a session anew soon. */
export function refresh(id) {
  stale.add(id);
  refreshStale();
}

// What happens

const NOISE = /^(?:log:|agent:output$|heartbeat$|metrics:)/;

function onEvents(events) {
  batch(() => {
    const changed = new Map();
    for (const event of events) {
      if (event.sessionId) hear(event, changed);
      if (event.type.startsWith("input:")) hearInput(event);
    }
    if (changed.size) {
      const next = new Map(sessions.value);
      for (const [id, changes] of changed) {
        const known = next.get(id);
        if (known) next.set(id, { ...known, ...changes });
      }
      sessions.value = next;
    }
    opened.value?.hear(events);
  });
}

function hear(event, changed) {
  const id = event.sessionId;
  if (!NOISE.test(event.type) || (!sessions.value.has(id) && event.type !== "heartbeat")) refresh(id);
  const changes = changesOf(event, sessions.value.get(id));
  if (changes) changed.set(id, { ...changed.get(id), ...changes });
}

/** What an event says about the row of its session at once. */
function changesOf({ type, data, timestamp }, known) {
  if (type === "metrics:update") {
    const usage = { ...known?.usage };
    for (const name of ["tokensUsed", "apiCalls", "cost"]) {
      if (typeof data[name] === "number") usage[name] = data[name];
    }
    if (typeof data.costOrigin === "string") usage.costOrigin = data.costOrigin;
    return { usage };
  }
  if (type.startsWith("session:") && data.status) return { status: data.status, updatedAt: timestamp };
  if (type === "phase:started" && data.phase) return { currentPhase: data.phase };
  return null;
}

function hearInput({ type, data }) {
  if (type === "input:requested") {
    refreshInputs();
    return;
  }
  const isIt = (each) => each.id === data.inputId;
  // That it is open no more may have been read before it was told how it was answered.
  const gone = inputs.value.find(isIt) ?? settled.value.find(({ input }) => isIt(input))?.input;
  if (!gone) return;
  noteSettled(gone, data);
  inputs.value = inputs.value.filter((each) => !isIt(each));
}

let begun = false;

/** Look at a session, or at none. */
export function open(id) {
  if (opened.value?.id === id) return;
  opened.value = id ? new SessionModel(id) : null;
  if (!begun) return; // what is read before the stream has its place would have a gap behind it
  opened.value?.load();
  if (id && !sessions.value.has(id)) refresh(id); // too old for the list
}

/** Begin: follow the stream, and read how things stand whenever it may have changed unheard. */
export function follow() {
  const follower = new Follower({
    onEvents,
    onFresh(lost) {
      refreshLists(); // also of what there are no events: a session that was deleted
      const model = opened.value;
      begun = true;
      if (model && (lost || model.failure.value || !model.loaded.value)) model.load();
    },
  });
  follower.run();
  document.addEventListener("visibilitychange", () => {
    if (begun && !document.hidden) refreshLists(); // a session may be deleted
  });
  let counted = Date.now();
  now.subscribe((at) => {
    if (!begun || document.hidden || at - counted < COUNT_MS) return;
    counted = at;
    recount();
  });
  return follower;
}

/** See whether sessions were deleted: no event tells that. */
const recount = lazily(async () => {
  const found = await get(query("api/sessions", { limit: 1 }));
  if (found.total !== total.value) await readLists();
}, REFRESH_MS);
