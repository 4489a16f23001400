// The text: its segments as they are spoken, which of them is heard now, and which one the reader picks.

import { element } from "./dom.js";
import { whyOf } from "./marks.js";
import { divide, endsBlock, isHeading } from "./parts.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

export class Text {
  constructor(segments, chapters, language) {
    this.segments = segments;
    const said = chapters.filter((chapter) => chapter.num_segments > 0);
    this.titles = new Map(said.map((chapter) => [chapter.first_segment, chapter.title]));
    this.onPick = () => {};
    this.elements = [];
    this.spoken = -1;
    this.parts = divide(segments, this.titles);
    const nodes = this.parts.map((part) => (part.node = element("div", { className: "part" })));
    this.node = element("article", { className: "text", lang: language, dir: "auto", aria: { label: "Text" } }, ...nodes);
    this.node.addEventListener("click", (event) => this.pick(indexOf(event.target)));
    this.node.addEventListener("keydown", (event) => this.pressed(event));
    this.fillFrom(0);
    if (segments.length) this.elements[0].tabIndex = 0;
  }

  /** Bring a segment into view. */
  show(index) {
    const node = this.made(index);
    if (!node) return;
    const jump = () => node.scrollIntoView({ block: "center", behavior: "instant" });
    const isFar = Math.abs(node.getBoundingClientRect().top) > 2 * innerHeight;
    if (!isFar && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      node.scrollIntoView({ block: "center", behavior: "smooth" });
      return;
    }
    jump();
    // What came into view on the way is laid out only now, and may be higher or lower than was guessed.
    requestAnimationFrame(() => requestAnimationFrame(jump));
  }

  /** Mark the segment that is heard now. */
  highlight(index, isFollowed) {
    if (index === this.spoken) return;
    const before = this.elements[this.spoken];
    before?.classList.remove("spoken");
    before?.removeAttribute("aria-current");
    this.spoken = index;
    const now = this.made(index);
    now?.classList.add("spoken");
    now?.setAttribute("aria-current", "true");
    if (isFollowed) this.show(index);
  }

  /** Show which segments have ended, as stretches [first, last]. */
  mark(done, failed) {
    for (const [spans, state] of [[done, "done"], [failed, "failed"]]) {
      for (const [first, last] of spans) {
        for (let index = first; index <= last && index < this.segments.length; index++) {
          this.segments[index].state = state;
          const node = this.elements[index];
          node?.classList.remove("waiting");
          node?.classList.toggle("failed", state === "failed");
        }
      }
    }
  }

  pick(index) {
    if (index === null || this.segments[index].offset_s === undefined) return;
    this.focusOn(index);
    this.onPick(index);
  }

  /** The arrows go from segment to segment, Enter and the space bar pick one: one stop for Tab in the whole text. */
  pressed(event) {
    const index = indexOf(event.target);
    if (index === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    if (step) this.focusOn(Math.min(Math.max(index + step, 0), this.segments.length - 1))?.focus();
    else if (event.key === "Enter" || event.key === " ") this.pick(index);
    else return;
    event.preventDefault();
  }

  focusOn(index) {
    this.node.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    const node = this.made(index);
    if (node) node.tabIndex = 0;
    return node;
  }

  /** Return a segment's element; its part is made first if it is not there yet. */
  made(index) {
    if (!this.elements[index]) this.fill(this.parts.find((part) => index >= part.first && index <= part.last));
    return this.elements[index];
  }

  /** Make a part, then the next one when the browser has had time for the reader. */
  fillFrom(at) {
    if (at >= this.parts.length) return;
    this.fill(this.parts[at]);
    setTimeout(() => this.fillFrom(at + 1));
  }

  fill(part) {
    if (!part || this.elements[part.first]) return;
    let block = null;
    for (let index = part.first; index <= part.last; index++) {
      if (this.titles.get(index)) part.node.append(element("h2", { className: "chapter", textContent: this.titles.get(index) }));
      block ??= part.node.appendChild(element("p"));
      block.append((this.elements[index] = this.segment(index)), ...markOf(this.segments[index]), " ");
      if (endsBlock(this.segments[index])) {
        if (isHeading(this.segments, index)) block.className = "heading";
        block = null;
      }
    }
  }

  segment(index) {
    const { text, state, flags, offset_s } = this.segments[index];
    const names = ["segment", state === "done" ? "" : state, flags ? "flagged" : ""].filter(Boolean);
    const made = element("span", { className: names.join(" "), textContent: text, data: { index }, tabIndex: -1 });
    if (offset_s !== undefined) {
      made.dataset.at = offset_s;
      made.setAttribute("role", "button");
    }
    return made;
  }
}

/** Return [] or the mark behind a segment that says what is wrong with it. */
function markOf(segment) {
  const why = whyOf(segment);
  const className = segment.state === "failed" ? "mark failed" : "mark";
  return why ? [element("span", { className, textContent: `⚑ ${why}` })] : [];
}

function indexOf(target) {
  const found = target.closest?.(".segment");
  return found ? Number(found.dataset.index) : null;
}
