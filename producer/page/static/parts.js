// How a text is cut: into parts, which the browser lays out or leaves alone, and into blocks.

/** Segments of one part: what is made in one go. */
const PART_SEGMENTS = 100;
const BLOCK_ENDS = ["paragraph", "heading", "chapter", "end"];

/** Say whether a paragraph ends with a segment. */
export function endsBlock(segment) {
  return BLOCK_ENDS.includes(segment.boundary);
}

/** Say whether a segment is a heading: set off on both sides, as its neighbours are on one, and no sentence. */
export function isHeading(segments, index) {
  const isSetOff = (at) => at < 0 || ["heading", "chapter"].includes(segments[at].boundary);
  return isSetOff(index - 1) && isSetOff(index) && !/[.!?…,;:"'”’»]$/.test(segments[index].text);
}

/** Cut the segments into parts, at the ends of paragraphs and at chapters. */
export function divide(segments, titles) {
  const parts = [];
  let first = 0;
  segments.forEach((segment, index) => {
    const isLong = index - first + 1 >= PART_SEGMENTS && endsBlock(segment);
    if (isLong || titles.has(index + 1) || index - first + 1 >= 3 * PART_SEGMENTS || index === segments.length - 1) {
      parts.push({ first, last: index });
      first = index + 1;
    }
  });
  return parts;
}
