// Windows on long lists: what is kept of them is bounded, however long they get.

import { signal } from "./html.js";

/**
 * A part of a list in the order of `seq`.
 *
 * New items come at its end and older ones are read before its beginning. Beyond `most` items, or
 * `heaviest` characters of them as `weigh` tells, the far end is dropped; a window whose end was
 * dropped is `detached` from what is new, and counts it.
 */
export class Window {
  constructor(most, weigh = () => 0, heaviest = Infinity) {
    Object.assign(this, { most, weigh, heaviest });
    this.items = [];
    this.weight = 0;
    this.version = signal(0);
    this.hasEarlier = false;
    this.detached = false;
    this.missed = 0;
    this.loading = false;
    this.first = 0; // the running number of the first item, so that a view keeps its place
  }

  /** Begin anew with these. */
  reset(items, hasEarlier) {
    this.items = items;
    this.weight = this.weightOf(items);
    this.hasEarlier = hasEarlier;
    this.detached = false;
    this.missed = 0;
    this.first = 0;
    this.version.value += 1;
  }

  /** Take new items; those that are known already are passed over. */
  append(items) {
    const last = this.items.at(-1)?.seq ?? 0;
    const fresh = items.filter((item) => item.seq > last);
    if (!fresh.length) return;
    if (this.detached) {
      this.missed += fresh.length;
    } else {
      // In place: a copy of a long list for each frame is what makes pages slow.
      for (const item of fresh) this.items.push(item);
      this.weight += this.weightOf(fresh);
      this.dropOldest();
    }
    this.version.value += 1;
  }

  /** Put older items before the others. */
  prepend(items, hasEarlier) {
    this.items = [...items, ...this.items];
    this.weight += this.weightOf(items);
    this.first -= items.length;
    this.hasEarlier = hasEarlier;
    while (this.items.length > this.most || (this.weight > this.heaviest && this.items.length > items.length)) {
      this.weight -= this.weigh(this.items.pop());
      this.detached = true;
    }
    this.version.value += 1;
  }

  /** Drop what is too much, but not for each item: all others move then. */
  dropOldest() {
    if (this.items.length <= 1.1 * this.most && this.weight <= 1.1 * this.heaviest) return;
    let over = 0;
    while (this.items.length - over > this.most || (this.weight > this.heaviest && over < this.items.length - 1)) {
      this.weight -= this.weigh(this.items[over]);
      over += 1;
    }
    this.items.splice(0, over);
    this.first += over;
    this.hasEarlier = true;
  }

  weightOf(items) {
    return items.reduce((sum, item) => sum + this.weigh(item), 0);
  }
}
