// Beside the text: the chapters, and the segments that somebody should listen to. Each leads to its place.

import { element } from "./dom.js";
import { clock, percent, reasonOf } from "./words.js";

/** Characters of a segment that are shown to say which it is. */
const EXCERPT_CHARS = 60;

/** Return why a segment should be looked at, in words; empty if there is no reason. */
export function whyOf(segment) {
  if (segment.state === "failed") return `not spoken: ${reasonOf(segment.error_code ?? "no audio")}`;
  if (!segment.flags) return "";
  const score = segment.score === null ? "" : ` (score ${percent(segment.score)})`;
  return `${segment.flags.map(reasonOf).join(", ")}${score}`;
}

export class Marks {
  constructor(segments, chapters) {
    this.onPick = () => {};
    this.chapters = chapters.filter((chapter) => chapter.num_segments > 0);
    const marked = segments.map((segment, index) => ({ segment, index })).filter(({ segment }) => whyOf(segment));
    this.chapterButtons = this.chapters.map((chapter) =>
      this.button(chapter.first_segment, "", chapter.title || `Chapter ${chapter.index + 1}`, chapter.offset_s),
    );
    this.node = element(
      "aside",
      { className: "aside", aria: { label: "Chapters and marks" } },
      ...list("Chapters", this.chapterButtons),
      ...list(
        `To listen to (${marked.length})`,
        marked.map(({ segment, index }) =>
          this.button(index, segment.state === "failed" ? "failed" : "flagged", `${whyOf(segment)}: ${excerpt(segment.text)}`, segment.offset_s),
        ),
      ),
    );
  }

  /** Show which chapter a segment is in. */
  highlight(index) {
    const at = this.chapters.findLastIndex((chapter) => chapter.first_segment <= index);
    this.chapterButtons.forEach((button, each) => button.setAttribute("aria-current", String(each === at)));
  }

  button(index, className, text, offset_s) {
    const time = offset_s === undefined ? "" : `${clock(offset_s)} · `;
    const made = element("button", { type: "button", className, textContent: `${time}${text}`, data: { index } });
    made.addEventListener("click", () => this.onPick(index));
    return made;
  }
}

function list(title, buttons) {
  if (!buttons.length) return [];
  return [element("h2", { textContent: title }), element("ol", {}, ...buttons.map((button) => element("li", {}, button)))];
}

function excerpt(text) {
  return text.length > EXCERPT_CHARS ? `${text.slice(0, EXCERPT_CHARS)}…` : text;
}
