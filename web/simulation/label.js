// simulation/label.js: says on the page that it is a simulation, and takes away what would lead to
// a server. The simulation itself is in server.js.

import { find, make } from "../elements.js";
import { say } from "../words/say.js";

find("lede").after(make("p", { id: "simulated", class: "notice" }, say("first.alone")));
find("share").hidden = true;
for (const part of document.querySelectorAll(".pages, .ways, .more, footer > p")) part.hidden = true;
