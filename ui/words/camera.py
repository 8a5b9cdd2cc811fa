"""The draggable camera, its sliders and presets; models in 3D."""

WORDS: dict[str, tuple[str, str]] = {
    # The pad
    "pad.label": (
        "Camera. The arrow keys move it, plus and minus bring it nearer and farther, Home returns to the photo's view",
        "Kamera. Pfeiltasten bewegen sie, Plus und Minus rücken sie näher und ferner, Pos1 stellt sie zum Foto zurück",
    ),
    "pad.hint": ("Drag to move the camera", "Ziehen bewegt die Kamera"),
    "pad.readout.one_view": (
        "Azimuth {azimuth}° · elevation {elevation}° · {distance}×",
        "Azimut {azimuth}° · Höhe {elevation}° · {distance}×",
    ),
    "pad.readout.orbit": (
        "{count} views all round · elevation {elevation}° · {distance}×",
        "{count} Ansichten rundum · Höhe {elevation}° · {distance}×",
    ),
    "pad.readout.spiral": (
        "{count} views all round · elevation {low}° to {high}° · {distance}×",
        "{count} Ansichten rundum · Höhe {low}° bis {high}° · {distance}×",
    ),
    "pad.readout.swing": (
        "{count} views about {azimuth}° · elevation {elevation}° · {distance}×",
        "{count} Ansichten um {azimuth}° · Höhe {elevation}° · {distance}×",
    ),
    "pad.readout.drawn": (
        "{count} views along your path · elevation {low}° to {high}°",
        "{count} Ansichten auf deinem Weg · Höhe {low}° bis {high}°",
    ),
    "pad.readout.to_draw": (
        "Drag the camera, or use the arrow keys: the way it goes is the path. Backspace takes a step back",
        "Zieh die Kamera oder nimm die Pfeiltasten: Wo sie entlanggeht, ist der Weg. Rücktaste: ein Stück zurück",
    ),
    "pad.said": (
        "{side}, {azimuth} degrees; {height}, {elevation} degrees; {distance} times the photo's distance",
        "{side}, {azimuth} Grad; {height}, {elevation} Grad; {distance}facher Abstand des Fotos",
    ),
    "pad.front": ("Front", "Vorn"),
    "pad.right": ("Right", "Rechts"),
    "pad.back": ("Back", "Hinten"),
    "pad.left": ("Left", "Links"),
    "pad.photo": ("Photo", "Foto"),
    "pad.side.front": ("front", "vorn"),
    "pad.side.front_right": ("front right", "vorn rechts"),
    "pad.side.right": ("right", "rechts"),
    "pad.side.back_right": ("back right", "hinten rechts"),
    "pad.side.back": ("back", "hinten"),
    "pad.side.back_left": ("back left", "hinten links"),
    "pad.side.left": ("left", "links"),
    "pad.side.front_left": ("front left", "vorn links"),
    "pad.height.above": ("from above", "von oben"),
    "pad.height.level": ("level", "auf gleicher Höhe"),
    "pad.height.below": ("from below", "von unten"),
    # Sliders and presets
    "camera.kind": ("What to render", "Was gezeigt wird"),
    "camera.kind.one_view": ("One view", "Eine Ansicht"),
    "camera.kind.orbit": ("Orbit", "Rundum"),
    "camera.kind.spiral": ("Spiral", "Spirale"),
    "camera.kind.swing": ("Swing", "Schwenk"),
    "camera.kind.drawn": ("Draw", "Frei"),
    "camera.start_over": ("Draw anew", "Neu zeichnen"),
    "camera.azimuth": ("Azimuth (°)", "Azimut (°)"),
    "camera.elevation": ("Elevation (°)", "Höhe (°)"),
    "camera.distance": ("Distance", "Abstand"),
    "camera.count": ("Views", "Ansichten"),
    "camera.front": ("Front", "Vorn"),
    "camera.right": ("Right", "Rechts"),
    "camera.back": ("Back", "Hinten"),
    "camera.left": ("Left", "Links"),
    "camera.above": ("Above", "Oben"),
    "camera.three-quarter": ("Three-quarter", "Halbprofil"),
    "camera.orbit": ("Orbit", "Rundum"),
    "camera.spiral": ("Spiral", "Spirale"),
    "camera.swing": ("Swing", "Schwenk"),
    "camera.match": ("The wall's view", "Ansicht der Wand"),
    # Models in 3D
    "mesh.no_webgl": (
        "This browser cannot draw in 3D: WebGL is missing or switched off. The pictures show the same views.",
        "Dieser Browser kann nichts in 3D zeichnen: WebGL fehlt oder ist ausgeschaltet. Die Bilder zeigen dasselbe.",
    ),
    "mesh.damaged": (
        "The 3D model could not be read. The pictures show the same views.",
        "Das 3D-Modell ließ sich nicht lesen. Die Bilder zeigen dieselben Ansichten.",
    ),
    "mesh.unreachable": (
        "The 3D model did not arrive: the connection broke. Try again.",
        "Das 3D-Modell kam nicht an: Die Verbindung brach ab. Versuche es noch einmal.",
    ),
    "mesh.gone": (
        "The 3D model is no longer there. The result may have been deleted.",
        "Das 3D-Modell ist nicht mehr da. Vielleicht wurde das Ergebnis gelöscht.",
    ),
    "mesh.too_large": (
        "The 3D model is too large to be shown here. It can be downloaded.",
        "Das 3D-Modell ist zu groß, um hier gezeigt zu werden. Es lässt sich herunterladen.",
    ),
}
