// The audio: which segment is heard, where to go on, and a new link when the old one has ended.

import { element, setText } from "./dom.js";

/** Times of segments are rounded to a microsecond, a player's to less: what is so near is there. */
const NEAR_S = 0.005;
/** The shortest time between two new links: a file that cannot be played is not asked for all the time. */
const NEW_LINK_MS = 20000;
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

export class Player {
  /** `askForLinks` returns a promise of the API's links. */
  constructor(segments, askForLinks, signal) {
    this.askForLinks = askForLinks;
    this.onSegment = () => {};
    // Failed segments have a place and no length; the one after them begins there too.
    this.places = segments.map(({ offset_s, state }, index) => ({ offset_s, index, isHeard: state === "done" }));
    this.heard = this.places.filter((place) => place.isHeard);
    this.linkAtMs = -Infinity;
    this.audio = element("audio", { controls: true, preload: "metadata", aria: { label: "Audio" } });
    this.follow = element("input", { type: "checkbox", checked: true });
    this.links = element("span");
    this.node = element(
      "section",
      { className: "player", aria: { label: "Player" } },
      this.audio,
      element("label", {}, "Speed ", this.speedChoice()),
      element("label", {}, this.follow, " Follow"),
      this.links,
    );
    for (const name of ["timeupdate", "seeked"]) this.audio.addEventListener(name, () => this.heardNow());
    this.audio.addEventListener("play", () => this.watch());
    this.audio.addEventListener("error", () => this.takeNewLink());
    signal.addEventListener("abort", () => this.end(), { once: true });
  }

  get isFollowed() {
    return this.follow.checked;
  }

  /** Ask for the links and be ready to play. */
  async load() {
    this.linkAtMs = performance.now();
    let links;
    try {
      links = await this.askForLinks();
    } catch (error) {
      setText(this.links, error.message);
      return;
    }
    this.audio.src = links.audio;
    const others = Object.entries(links.subtitles).map(([kind, url]) => [kind.toUpperCase(), url]);
    const anchors = [["Download", links.download], ...others].map(([textContent, href]) => element("a", { textContent, href, rel: "noreferrer" }));
    this.links.replaceChildren(...anchors.flatMap((anchor) => [anchor, " "]));
  }

  /** Go to where a segment begins, and play. */
  playFrom(index) {
    this.audio.currentTime = this.places[index].offset_s;
    this.onSegment(this.at(this.audio.currentTime));
    this.audio.play().catch(() => {}); // the browser's own controls say why not
  }

  /** Return the segment that is heard at a time: the last one that has begun. */
  at(timeS) {
    let [low, high] = [0, this.heard.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.heard[middle].offset_s <= timeS + NEAR_S) low = middle + 1;
      else high = middle;
    }
    return this.heard[Math.max(low - 1, 0)]?.index ?? -1;
  }

  heardNow() {
    if (this.audio.currentTime > 0 || !this.audio.paused) this.onSegment(this.at(this.audio.currentTime));
  }

  /** While it plays, look at every frame: `timeupdate` comes four times a second, a sentence may begin in between. */
  watch() {
    const look = () => {
      if (this.audio.paused) return;
      this.heardNow();
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  /** A link has ended, or the network was gone: take a new one and go on from there. */
  async takeNewLink() {
    if (performance.now() - this.linkAtMs < NEW_LINK_MS) return;
    const { currentTime, paused } = this.audio;
    await this.load();
    this.audio.currentTime = currentTime;
    if (!paused) this.audio.play().catch(() => {});
  }

  speedChoice() {
    const options = SPEEDS.map((speed) => element("option", { value: speed, textContent: `${speed} x`, selected: speed === 1 }));
    const choice = element("select", {}, ...options);
    choice.addEventListener("change", () => (this.audio.playbackRate = Number(choice.value)));
    return choice;
  }

  end() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }
}
