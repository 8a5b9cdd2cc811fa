"""What a method can do and what it costs, on its card and under Generate."""

WORDS: dict[str, tuple[str, str]] = {
    "method.any_view": ("any view", "jede Ansicht"),
    "method.orbit": ("orbits", "Rundgänge"),
    "method.fixed_views": ("fixed views", "feste Ansichten"),
    "method.mesh": ("3D model", "3D-Modell"),
    "method.time_here": ("{time} here", "hier {time}"),
    "method.fetches": ("fetches {gb} GB once", "lädt einmal {gb} GB"),
    "method.gate": ("its licence must be accepted first", "zuerst muss die Lizenz angenommen werden"),
    "method.quota": ("asks for {n} s of your GPU quota", "braucht {n} s deines GPU-Kontingents"),
    "method.blocked": ("Cannot run here:", "Läuft hier nicht:"),
    "method.weights": ("Weights", "Gewichte"),
    "method.unpinned": ("unpinned: may change there", "nicht festgelegt: kann sich dort ändern"),
    "method.gated": ("its licence has to be accepted there first", "dort muss zuerst die Lizenz angenommen werden"),
    "method.takes": ("Takes {time} here.", "Braucht hier {time}."),
    "method.takes_and_fetches": (
        "Takes {time} here, after fetching {gb} GB once.",
        "Braucht hier {time}, nachdem einmal {gb} GB geladen sind.",
    ),
    "method.long": (
        "That is long. Fewer views, one view, or another method are quicker.",
        "Das ist lang. Weniger Ansichten, eine einzige oder ein anderes Verfahren gehen schneller.",
    ),
    "time.second": ("about a second", "etwa eine Sekunde"),
    "time.seconds": ("about {n} seconds", "etwa {n} Sekunden"),
    "time.minutes": ("about {n} minutes", "etwa {n} Minuten"),
    "time.hours": ("about {n} hours", "etwa {n} Stunden"),
}
