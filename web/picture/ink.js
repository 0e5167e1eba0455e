// picture/ink.js: the few strokes that all drawings on the canvas are made of. It knows the canvas
// and nothing of lanes or messages.

/**
 * A straight line in the present stroke style.
 * @param {CanvasRenderingContext2D} context
 * @param {number} fromX
 * @param {number} fromY
 * @param {number} toX
 * @param {number} toY
 */
export function stroke(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

/**
 * A cross: something went wrong here.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} size from the middle to an end
 * @param {string} colour
 */
export function cross(context, x, y, size, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  stroke(context, x - size, y - size, x + size, y + size);
  stroke(context, x - size, y + size, x + size, y - size);
}

/**
 * Text with a rim in the colour of the ground, so that lines behind it do not hurt it.
 * @param {import("./picture.js").Frame} frame
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {string} colour
 * @param {CanvasTextAlign} side
 */
export function text({ context, colours, font }, words, x, y, colour, side) {
  context.save();
  context.font = font;
  context.textAlign = side;
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = colours.surface;
  context.strokeText(words, x, y);
  context.fillStyle = colour;
  context.fillText(words, x, y);
  context.restore();
}
