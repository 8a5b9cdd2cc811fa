"""The photo, its cut-out, and the mask."""

WORDS: dict[str, tuple[str, str]] = {
    "subject.title": ("## Subject", "## Motiv"),
    "subject.photo": ("Photo", "Foto"),
    "subject.photo_alt": ("The photo", "Das Foto"),
    "subject.drop": ("Drop a photo here\nor tap to choose", "Foto hierher ziehen\noder tippen"),
    "subject.stop": ("Stop", "Anhalten"),
    "subject.offer": ("Use the one that needs no download", "Den nehmen, der nichts herunterlädt"),
    "subject.remover": ("Background remover", "Freisteller"),
    "subject.remover_info": (
        "Automatic keeps a photo's own transparency, and else finds the outline.",
        "Automatisch behält die Transparenz des Fotos und sucht sonst den Umriss.",
    ),
    "subject.elevation": ("Photo elevation (°)", "Kamerahöhe (°)"),
    "subject.elevation_info": (
        "How high the camera stood: 0 is level with the object, 90 straight above.",
        "Wie hoch die Kamera stand: 0 auf Höhe des Objekts, 90 genau darüber.",
    ),
    "subject.fold": ("Repair and edges", "Ausbessern und Ränder"),
    "subject.feather": ("Soft edge (%)", "Weicher Rand (%)"),
    "subject.feather_info": (
        "How far the edge fades inwards, in percent of the object.",
        "Wie weit der Rand nach innen ausläuft, in Prozent des Objekts.",
    ),
    "subject.fill": ("Share of the frame (%)", "Anteil am Bild (%)"),
    "subject.fill_info": (
        "How much of the picture the object's longest side takes.",
        "Wie viel vom Bild die längste Seite des Objekts einnimmt.",
    ),
    "subject.start_over": ("Start over", "Von vorn"),
    "subject.mask": ("The mask: what is dimmed is cut away", "Die Maske: was blass ist, fällt weg"),
    "example.robot": ("Robot", "Roboter"),
    "example.duck": ("Duck", "Ente"),
    "example.cactus": ("Cactus", "Kaktus"),
    "example.rocket": ("Rocket", "Rakete"),
    "example.teapot": ("Teapot", "Kanne"),
    "example.coffee": ("Coffee", "Kaffee"),
    "elevation.level": (
        "Side view: the camera is level with the object.",
        "Seitenansicht: Die Kamera ist auf Höhe des Objekts.",
    ),
    "elevation.above": (
        "Side view: the camera looks down from {degrees} above level.",
        "Seitenansicht: Die Kamera schaut von {degrees} über der Waagrechten herab.",
    ),
    "elevation.below": (
        "Side view: the camera looks up from {degrees} below level.",
        "Seitenansicht: Die Kamera schaut von {degrees} unter der Waagrechten hinauf.",
    ),
    "mask.brush": ("Brush", "Pinsel"),
    "mask.add": ("Add", "Dazu"),
    "mask.add_title": ("Paint in what belongs to the object", "Anmalen, was zum Objekt gehört"),
    "mask.remove": ("Remove", "Weg"),
    "mask.remove_title": ("Paint over what does not belong to it", "Anmalen, was nicht dazugehört"),
    "mask.erase": ("Unpaint", "Radieren"),
    "mask.erase_title": ("Rub out strokes", "Striche wegradieren"),
    "mask.size": ("Size", "Größe"),
    "mask.not_sent": (
        "The strokes did not reach the server. Check the connection and paint once more.",
        "Die Striche kamen nicht an. Prüfe die Verbindung und male noch einmal.",
    ),
    "mask.no_webgl": (
        "The mask editor needs WebGL, which this browser has switched off. Everything else works without.",
        "Der Masken-Editor braucht WebGL, das in diesem Browser aus ist. Alles andere geht ohne.",
    ),
}
