// Requests to the server: the token, and what refusals mean.

import { signal } from "./html.js";

/** Where the API is: where the page is. */
const ROOT = new URL(".", location.href).pathname;
const KEPT = "loki-token";
const PATIENCE_MS = 20_000; // for an answer, whole: a server that hangs is as good as none

/** What the server wants before it lets us in: null, or {message, retryAt}. */
export const wanted = signal(null);

let token = readToken();

function readToken() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return ""; // a browser that keeps nothing
  }
}

/** Use a token from now on, and keep it for as long as this tab is open. */
export function useToken(text) {
  if (/[^\x21-\x7e]/.test(text)) {
    // No header takes it, so the server would never be asked.
    wanted.value = { message: "No token has such letters: look at what was pasted.", retryAt: null };
    return;
  }
  token = text;
  wanted.value = null;
  try {
    if (text) sessionStorage.setItem(KEPT, text);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // It holds until the next reload then.
  }
}

/** What a request was refused with. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body?.error ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code ?? "";
    this.details = body?.details ?? {};
    this.retryAfter = retryAfter;
  }

  /** What is wrong with which field of what was sent. */
  get fields() {
    const faults = this.details.errors;
    return Array.isArray(faults) ? faults : [];
  }
}

/** No answer at all: the server is away, or the way to it. */
export class Unreachable extends Error {
  constructor(message = "The server cannot be reached.") {
    super(message);
  }
}

/** A word that nobody else has chosen: what is sent again under it is done once. */
export function onceKey() {
  const words = crypto.getRandomValues(new Uint32Array(4));
  return "page-" + Array.from(words, (n) => n.toString(16).padStart(8, "0")).join("");
}

/** Ask; the response, once it is one of success. */
export async function ask(path, { method = "GET", body, headers = {}, signal: aborts } = {}) {
  const sent = { ...headers };
  if (token) sent.Authorization = `Bearer ${token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(ROOT + path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: aborts,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    throw unanswered(error);
  }
  if (response.ok) return response;
  throw refusal(response, await response.json().catch(() => null));
}

const unanswered = (error) =>
  error.name === "TimeoutError" ? new Unreachable("The server does not answer.") : new Unreachable();

function refusal(response, body) {
  const seconds = Number(response.headers.get("Retry-After")) || null;
  const problem = new Problem(response.status, body, seconds);
  if (response.status === 401) {
    wanted.value = { message: token ? "That token is not the right one." : "", retryAt: null };
  } else if (problem.code === "TOO_MANY_REQUESTS") {
    wanted.value = {
      message: `Too many wrong tokens were tried: none is taken for ${seconds ?? 30} seconds.`,
      retryAt: Date.now() + (seconds ?? 30) * 1000,
    };
  }
  return problem;
}

/** Ask for what is not long; what the answer says. */
async function exchange(path, options) {
  const response = await ask(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  try {
    return await response.json();
  } catch (error) {
    throw unanswered(error); // it broke off in the middle
  }
}

export const get = (path) => exchange(path);

export const post = (path, body, headers) => exchange(path, { method: "POST", body, headers });

export const remove = (path) => exchange(path, { method: "DELETE" });

/** A path with a query of what is not null. */
export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
