// The wall alone, in a frame on somebody else's page.

import { readView } from "./wall-link.js";
import { mount } from "./wall.js";

const place = document.querySelector("main#wall");
const { spec = "", az, el } = place.dataset;
mount(place, { props: { value: spec }, readOnly: true, view: readView(az, el) });
