// format.js: numbers into words for people. Pure functions; it knows neither the page nor the
// network.

/** A space that never breaks the line between a figure and its unit. */
const GLUE = "\u00a0";

/** What is shown where nothing has been measured yet. */
export const NOTHING = "–";

/**
 * A time span, with about three figures.
 * @param {number|null} milliseconds
 * @returns {string}
 */
export function duration(milliseconds) {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return NOTHING;
  const ms = Math.max(0, milliseconds);
  if (ms < 0.9995) return (ms * 1000).toFixed(0) + GLUE + "µs";
  if (ms < 9.95) return ms.toFixed(1) + GLUE + "ms";
  if (ms < 999.5) return ms.toFixed(0) + GLUE + "ms";
  const seconds = ms / 1000;
  if (seconds < 9.995) return seconds.toFixed(2) + GLUE + "s";
  if (seconds < 99.95) return seconds.toFixed(1) + GLUE + "s";
  return minutes(seconds);
}

/**
 * A longer time span in minutes and seconds, or in seconds alone while it is short.
 * @param {number} seconds
 * @returns {string}
 */
export function minutes(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return whole + GLUE + "s";
  return Math.floor(whole / 60) + GLUE + "min" + GLUE + (whole % 60) + GLUE + "s";
}

/**
 * A number of bytes in decimal units.
 * @param {number|null} value
 * @returns {string}
 */
export function bytes(value) {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  if (value < 999.5) return Math.round(value) + GLUE + "B";
  if (value < 999_500) return figures(value / 1000) + GLUE + "kB";
  return figures(value / 1_000_000) + GLUE + "MB";
}

/**
 * A whole number with thousands set apart.
 * @param {number} value
 * @returns {string}
 */
export function count(value) {
  return Math.round(value).toLocaleString("en-GB").replaceAll(",", "\u202f");
}

/**
 * A share between 0 and 1 as a percentage.
 * @param {number|null} value
 * @returns {string}
 */
export function percent(value) {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  return Math.round(value * 100) + GLUE + "%";
}

/**
 * A ratio with one decimal, such as messages per answer.
 * @param {number|null} value
 * @returns {string}
 */
export function ratio(value) {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  return value.toFixed(1);
}

/**
 * A polling interval as the slider names it: 0.25 s, 5 s, 60 s.
 * @param {number} seconds
 * @returns {string}
 */
export function interval(seconds) {
  return String(seconds) + GLUE + "s";
}

function figures(value) {
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}
