// One narration: while it runs its progress, when it has ended its audio, and its text all the time.

import { announce, element, setText } from "./dom.js";
import { Marks } from "./marks.js";
import { Player } from "./player.js";
import { poll } from "./poll.js";
import { ask } from "./session.js";
import { Text } from "./text.js";
import { nameOf, percent, standing } from "./words.js";

/** Steps of progress that are said aloud. */
const SPOKEN_STEPS = 10;

export async function showNarration(main, id, signal) {
  const path = `narrations/${id}`;
  const whole = await ask(path, signal);
  const head = new Head(whole.status);
  document.title = `${nameOf(whole.status)} · chatterqueue`;
  const place = element("div");
  main.replaceChildren(head.node, place);
  let text = fill(place, whole, path, signal);
  if (whole.status.has_ended) return;

  let numSegments = whole.segments.length;
  await poll(async () => {
    const now = await ask(`${path}/progress`, signal);
    head.update(now.status);
    const isSplit = now.status.num_segments && !numSegments;
    if (isSplit || now.status.has_ended) {
      const again = await ask(path, signal);
      numSegments = again.segments.length;
      text = fill(place, again, path, signal);
      return now.status.has_ended;
    }
    text.mark(now.done, now.failed);
    return false;
  }, signal);
}

/** Put the text and all that belongs to it into `place`; return the text. */
function fill(place, { status, chapters, segments }, path, signal) {
  const text = new Text(segments, chapters, status.language);
  const marks = new Marks(segments, chapters);
  const sides = element("div", { className: "sides" }, marks.node, text.node);
  if (!status.has_audio) {
    marks.onPick = (index) => text.show(index);
    place.replaceChildren(sides);
    return text;
  }
  const player = new Player(segments, () => ask(`${path}/links`, signal), signal);
  const play = (index) => player.playFrom(index);
  text.onPick = play;
  marks.onPick = play;
  player.onSegment = (index) => {
    text.highlight(index, player.isFollowed);
    marks.highlight(index);
  };
  text.node.classList.add("can-play");
  place.replaceChildren(player.node, sides);
  player.load();
  return text;
}

/** Name, state and progress. */
class Head {
  constructor(status) {
    this.state = element("span");
    this.details = element("span");
    this.reason = element("p", { className: "reason" });
    this.bar = element("progress", { max: 1, aria: { label: "progress" } });
    this.spoken = "";
    this.node = element(
      "section",
      {},
      element("h1", { textContent: nameOf(status) }),
      element("p", { className: "quiet" }, this.state, " · ", this.details),
      this.bar,
      this.reason,
      element("p", { className: "quiet", textContent: `voice ${status.voice} · ${status.language} · ${status.engine} · ${status.format} · ${status.id}` }),
    );
    this.update(status);
  }

  update(status) {
    setText(this.state, status.state);
    this.state.className = `state ${status.state}`;
    setText(this.details, standing(status));
    setText(this.reason, status.reason ?? "");
    this.bar.value = status.progress;
    this.bar.hidden = status.has_ended;
    const step = Math.floor(status.progress * SPOKEN_STEPS) / SPOKEN_STEPS;
    const said = status.has_ended ? status.state : `${status.state}, ${percent(step)}`;
    if (said !== this.spoken) announce((this.spoken = said));
  }
}
