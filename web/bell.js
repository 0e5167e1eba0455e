// bell.js: the movement of a bell. It rings nothing: what came is shown by it.

/**
 * Moves a bell for a moment, unless it moves already.
 * @param {SVGElement} bell
 */
export function ringBell(bell) {
  if (document.hidden || bell.getAnimations({ subtree: true }).length > 0) return;
  bell.classList.remove("ringing");
  void bell.getBoundingClientRect();
  bell.classList.add("ringing");
}
