// picture/stage.js: the boxes of the lanes in the picture: label, figure, state and the track that
// the canvas draws into. Words of the state are lane/status.js's, what is drawn is picture.js's.

import { find, make, write } from "../elements.js";
import { duration } from "../format.js";
import { LANES, LANE_NAMES } from "../lane/list.js";
import { say } from "../words/say.js";

/**
 * Puts a row for every lane on the stage, hidden until it is chosen.
 * @param {HTMLElement} stage
 * @param {(lane: string) => void} onRetry
 */
export function buildStage(stage, onRetry) {
  const axis = stage.querySelector('[data-track="axis"]');
  for (const lane of LANES) {
    const track = make("div", { class: "track lane", "data-track": lane.name, hidden: "" });
    axis.before(label(lane, onRetry), track);
  }
}

/**
 * Shows the rows of these lanes and no others.
 * @param {HTMLElement} stage
 * @param {string[]} names
 */
export function showLanes(stage, names) {
  for (const name of LANE_NAMES) {
    const rows = stage.querySelectorAll(`[data-lane="${name}"], [data-track="${name}"]`);
    for (const row of rows) row.hidden = !names.includes(name);
  }
}

/**
 * The median beside each lane.
 * @param {Record<string, import("../lane/stats.js").LaneStats>} stats
 */
export function showMedians(stats) {
  for (const name of LANE_NAMES) write(find(`lane-${name}-median`), duration(stats[name].median));
}

function label({ name, title, what, clock }, onRetry) {
  const line = make("p", { class: "lane-what" }, what);
  if (name === "poll") line.append(" ", make("span", { id: "lane-interval" }));
  const words = say(clock === "page" ? "lane.median" : "lane.accepted");
  const figure = make("p", { class: "lane-figure" },
    make("span", { id: `lane-${name}-median` }, "–"), " ", make("small", {}, words));
  if (clock === "server") figure.title = say("lane.serverclock");
  const state = make("p", { id: `${name}-state`, class: "state", "data-kind": "connecting" });
  const retry = make("button", { id: `retry-${name}`, type: "button", class: "quiet", hidden: "" },
    say("lane.retry"), make("span", { class: "only-spoken" }, ` (${title})`));
  retry.addEventListener("click", () => onRetry(name));
  const heading = make("h2", { class: `of-${name}` }, title);
  return make("div", { class: `lane-label is-${name}`, "data-lane": name, hidden: "" },
    heading, line, figure, state, retry);
}
