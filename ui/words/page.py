"""The page around the parts: headings, methods, Generate, the history."""

WORDS: dict[str, tuple[str, str]] = {
    "run.deleted": ("Deleted. Its link leads nowhere now.", "Gelöscht. Sein Link führt jetzt nirgendwohin."),
    "run.adopted": (
        "These are the settings of that result. Change what you like, then press Generate.",
        "Das sind die Einstellungen jenes Ergebnisses. Ändere, was du willst, dann „Erzeugen“.",
    ),
    "page.promise": (
        "One photo in; the object from every side out.",
        "Ein Foto hinein, das Objekt von allen Seiten heraus.",
    ),
    "page.skip": ("To the Generate button", "Zum Knopf „Erzeugen“"),
    "page.to_photo": ("Your photo", "Dein Foto"),
    "page.methods": ("## Methods", "## Verfahren"),
    "page.options": ("Options", "Einstellungen"),
    "page.size_and_seed": ("Size and seed", "Größe und Startwert"),
    "page.size": ("Size (px)", "Größe (px)"),
    "page.size_info": ("Side of the square views.", "Seitenlänge der quadratischen Ansichten."),
    "page.seed": ("Seed", "Startwert"),
    "page.seed_info": ("The same seed gives the same result.", "Gleicher Startwert, gleiches Ergebnis."),
    "page.generate": ("Generate", "Erzeugen"),
    "page.cancel": ("Cancel", "Abbrechen"),
    "page.beside": ("Keep what is on the wall", "Behalten, was an der Wand hängt"),
    "page.beside_info": (
        "The next run hangs beside it, so that settings can be compared.",
        "Der nächste Lauf kommt daneben, zum Vergleich von Einstellungen.",
    ),
    "history.title": ("Your results in this browser", "Deine Ergebnisse in diesem Browser"),
    "history.none": (
        "Results you make are listed here, in this browser only.",
        "Was du erzeugst, steht hier, nur in diesem Browser.",
    ),
    "history.open": ("Open {title}, {when}", "{title} öffnen, {when}"),
    "history.forget": ("Delete this result", "Dieses Ergebnis löschen"),
    "history.sure": ("Delete for everyone?", "Für alle löschen?"),
    "history.yes": ("Delete", "Löschen"),
    "history.no": ("Keep", "Behalten"),
    "history.gone": ("No longer here", "Nicht mehr da"),
    "history.drop": ("Take it off this list", "Aus der Liste nehmen"),
    "history.working": ("Being made …", "Wird gemacht …"),
}
