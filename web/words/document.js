// words/document.js: says the words that stand in the document itself, before anything else of the
// page has begun. Words that come later are said by whatever shows them.

import { offerLanguages, sayDocument } from "./say.js";

sayDocument();
offerLanguages(document.getElementById("languages"));
