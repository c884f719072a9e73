// What people do to sessions: each says what became of it.

import { ask, onceKey, post, query, remove } from "./api.js";
import { bytes } from "./text.js";
import { refresh, refreshLists, say } from "./store.js";

async function attempt(work, done) {
  try {
    const taken = await work();
    if (done) say(done);
    return taken;
  } catch (error) {
    say(error.message, "error");
    return null;
  }
}

const at = (id, rest) => `api/sessions/${encodeURIComponent(id)}${rest}`;

async function order(id, word, done) {
  await attempt(() => post(at(id, `/${word}`)), done);
  refresh(id);
}

export const stop = (id) => order(id, "stop", "Stopping.");
export const pause = (id) => order(id, "pause", "Asked to pause.");
export const resume = (id) => order(id, "resume", "It goes on.");
export const interrupt = (id) => order(id, "interrupt", "The agent leaves off what it is doing.");

/** Start a session; gives its id. Refusals are the caller's, who shows them beside the fields. */
export async function start(wanted, key) {
  const { sessionId } = await post("api/sessions", wanted, { "Idempotency-Key": key });
  refresh(sessionId);
  return sessionId;
}

/** Say something to the agent; gives whether it was taken. */
export async function tell(id, text, delivery) {
  const sent = { "Idempotency-Key": onceKey() };
  const taken = await attempt(() => post(at(id, "/input"), { input: text, delivery }, sent));
  if (taken?.status === "queued") {
    say(delivery === "now" ? "It goes into what the agent is doing." : "The agent gets it when it has done what it is doing.");
  }
  refresh(id);
  return taken !== null;
}

/** Go on with the conversation in a new session; gives its id. */
export async function goOn(id, message) {
  const sent = { "Idempotency-Key": onceKey() };
  const begun = await attempt(() => post(at(id, "/continue"), { message }, sent));
  if (begun) refresh(begun.sessionId);
  return begun?.sessionId ?? null;
}

/** Answer a question; gives whether it is settled. */
export async function answer(input, value, message) {
  const body = message ? { answer: value, message } : { answer: value };
  const sent = { "Idempotency-Key": onceKey() };
  const path = at(input.sessionId, `/inputs/${encodeURIComponent(input.id)}`);
  const answered = await attempt(() => post(path, body, sent));
  refresh(input.sessionId);
  if (!answered) refreshLists();
  return answered !== null;
}

/** Delete the record of a session; gives whether it is gone. */
export async function forget(id) {
  const deleted = await attempt(() => remove(at(id, "")), "The session's record is deleted.");
  refreshLists();
  return deleted !== null;
}

/** Save what the agent has printed, byte for byte. */
export function download(id, stream) {
  return attempt(async () => {
    const response = await ask(query(at(id, "/output"), { stream }));
    const blob = await response.blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${id}.${stream}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`Saved ${bytes(blob.size)}.`);
  });
}
