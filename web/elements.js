// elements.js: makes and fills elements of the page. Everything goes in as text, never as markup.

/**
 * An element.
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * The element with that id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function find(id) {
  return document.getElementById(id);
}

/**
 * Sets a text, if it is another one.
 * @param {HTMLElement} element
 * @param {string} text
 * @returns {boolean} whether it was another one
 */
export function write(element, text) {
  if (element.textContent === text) return false;
  element.textContent = text;
  return true;
}
