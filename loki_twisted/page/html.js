// The libraries in one place: what all other modules draw with.

import htm from "./vendor/htm.js";
import { Component, Fragment, h, render } from "./vendor/preact.js";

export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export { batch, computed, effect, signal } from "./vendor/signals.js";
export { Component, Fragment, h, render };

/** Templates for elements. Whatever is put into them is text: nothing here makes markup of it. */
export const html = htm.bind(h);
