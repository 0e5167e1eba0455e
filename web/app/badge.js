// app/badge.js: how many messages are unread, where one sees it without seeing the page: in the
// title of the tab, its icon, and on the installed app.

import { find } from "../elements.js";

const ICON = new URL("icon.svg", import.meta.url).href;
const ICON_UNREAD = new URL("icon-unread.svg", import.meta.url).href;

/**
 * Shows it.
 * @param {number} unread
 * @param {string} name what the page shows
 */
export function badge(unread, name) {
  const title = `${unread > 0 ? `(${unread}) ` : ""}${name} – doorbell`;
  if (document.title !== title) document.title = title;
  const icon = unread > 0 ? ICON_UNREAD : ICON;
  if (find("favicon").href !== icon) find("favicon").href = icon;
  const told = unread > 0 ? navigator.setAppBadge?.(unread) : navigator.clearAppBadge?.();
  told?.catch(() => {});
}
