// Numbers as words: times, parts, speeds, and where a narration stands.

/** Return seconds as 0:07, 12:34 or 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Return a fraction as a whole percentage; 100 % only when it is all. */
export function percent(fraction) {
  return `${Math.floor(fraction * 100)} %`;
}

/** Return what a narration is called. */
export function nameOf(status) {
  return status.title || status.custom_id || status.id;
}

/** Return how far a narration is, and how fast, in one line. */
export function standing(status) {
  const parts = [];
  if (status.has_ended) {
    if (status.duration_s !== null) parts.push(`${clock(status.duration_s)} long`);
  } else if (status.num_segments) {
    parts.push(percent(status.progress), `${status.num_done + status.num_failed} of ${status.num_segments} segments`);
    if (status.eta_s !== null) parts.push(`about ${clock(status.eta_s)} left`);
  }
  if (status.real_time_factor) parts.push(`${status.real_time_factor.toFixed(1)} x real time`);
  if (status.num_failed) parts.push(`${status.num_failed} failed`);
  if (status.num_flagged) parts.push(`${status.num_flagged} flagged`);
  return parts.join(" · ");
}

/** Return a flag or an error code as words. */
export function reasonOf(code) {
  return code.replaceAll("_", " ");
}
