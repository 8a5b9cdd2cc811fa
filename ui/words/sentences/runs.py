"""Of runs: what is asked for, waiting, going on, ending."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- What is asked for ---
    ("{what} must be a number of {unit}.", "{what} muss eine Zahl sein ({unit})."),
    ("{what} must be a number.", "{what} muss eine Zahl sein."),
    (
        "{what} must be a finite number of {unit}, not {given}.",
        "{what} muss eine endliche Zahl sein ({unit}), nicht {given}.",
    ),
    ("{what} must be a finite number, not {given}.", "{what} muss eine endliche Zahl sein, nicht {given}."),
    ("degrees", "Grad"),
    ("times the photo's distance", "mal der Abstand des Fotos"),
    ("frames a second", "Bilder je Sekunde"),
    ("The azimuth", "Der Azimut"),
    ("The elevation", "Der Höhenwinkel"),
    ("The distance", "Der Abstand"),
    (
        "The azimuth must lie between -360 and 360 degrees, not {given}.",
        "Der Azimut muss zwischen -360 und 360 Grad liegen, nicht {given}.",
    ),
    (
        "The elevation must lie between -90 and 90 degrees, not {given}.",
        "Der Höhenwinkel muss zwischen -90 und 90 Grad liegen, nicht {given}.",
    ),
    (
        "The distance must lie between {low} and {high} times the photo's distance, not {given}.",
        "Der Abstand muss zwischen dem {low}- und dem {high}fachen des Fotos liegen, nicht {given}.",
    ),
    (
        "There is no camera path {kind}. Choose one of: {known}.",
        "Es gibt keinen Kameraweg {kind}. Wähle einen von: {known}.",
    ),
    (
        "{what} has between 1 and {most} views, as a whole number; {asked} was asked.",
        "{what} hat zwischen 1 und {most} Ansichten, als ganze Zahl; verlangt war {asked}.",
    ),
    ("A way", "Ein Weg"),
    (
        "A way is a list of cameras: azimuth and elevation in degrees, and the distance where it is not 1.",
        "Ein Weg ist eine Liste von Kameras: Azimut und Höhenwinkel in Grad, und der Abstand, wo er nicht 1 ist.",
    ),
    ("A way has between 1 and {most} cameras.", "Ein Weg hat zwischen 1 und {most} Kameras."),
    (
        "No path is drawn yet. Drag the camera on the pad: the way it goes is the path.",
        "Es ist noch kein Weg gezeichnet. Zieh die Kamera: Wo sie entlanggeht, ist der Weg.",
    ),
    ("An orbit", "Ein Rundgang"),
    ("The orbit's start", "Der Anfang des Rundgangs"),
    ("A {kind}", "Ein Weg „{kind}“"),
    ("spiral", "Spirale"),
    ("swing", "Schwenk"),
    ("The swing", "Der Schwenk"),
    (
        "The swing must lie between {low} and {high} degrees to a side, not {given}.",
        "Der Schwenk muss zwischen {low} und {high} Grad nach jeder Seite liegen, nicht {given}.",
    ),
    (
        "The subject's share of the frame must lie between 0.01 and 1, not {given}.",
        "Der Anteil des Motivs am Bild muss zwischen 0.01 und 1 liegen, nicht {given}.",
    ),
    ("The subject's share of the frame", "Der Anteil des Motivs am Bild"),
    ("There is no method {key}. Known methods: {known}.", "Es gibt kein Verfahren {key}. Es gibt: {known}."),
    (
        "No method is chosen. Tick at least one under Methods.",
        "Es ist kein Verfahren gewählt. Hake unter „Verfahren“ mindestens eines an.",
    ),
    (
        "There is no option {name}. This method's options: {known}.",
        "Es gibt keine Einstellung {name}. Dieses Verfahren hat: {known}.",
    ),
    ("{option} must be one of: {choices}.", "{option} muss eines davon sein: {choices}."),
    ("{option} must be true or false.", "{option} muss wahr oder falsch sein."),
    (
        "{option} must lie between {low} and {high}, not {given}.",
        "{option} muss zwischen {low} und {high} liegen, nicht {given}.",
    ),
    ("{option} must be a whole number, not {given}.", "{option} muss eine ganze Zahl sein, nicht {given}."),
    ("{option} must be text.", "{option} muss Text sein."),
    (
        "{option} may have at most {most} letters, not {given}.",
        "{option} darf höchstens {most} Buchstaben haben, nicht {given}.",
    ),
    ("These options are not {method}'s.", "Diese Einstellungen gehören nicht zu {method}."),
    ("The views must be a list of cameras.", "Die Ansichten müssen eine Liste von Kameras sein."),
    ("Ask for between 1 and {most} views; {asked} were asked.", "Verlange 1 bis {most} Ansichten; es waren {asked}."),
    ("The seed", "Der Startwert"),
    ("The size", "Die Größe"),
    (
        "{what} must be a whole number between {low} and {high}, not {given}.",
        "{what} muss eine ganze Zahl zwischen {low} und {high} sein, nicht {given}.",
    ),
    (
        "{count} views of {px} px are more than one run may make. Ask for at most {most} views at this size, "
        "or for smaller ones.",
        "{count} Ansichten mit {px} px sind mehr, als ein Lauf machen darf. Verlange in dieser Größe höchstens "
        "{most} oder kleinere.",
    ),
    ("This request could not be understood.", "Diese Anfrage war nicht zu verstehen."),
    # --- Waiting for a turn ---
    ("Waiting for {what}", "Wartet auf {what}"),
    ("Waiting for {what}, {time}", "Wartet auf {what}, {time}"),
    ("1 other run", "einen anderen Lauf"),
    ("{count} other runs", "{count} andere Läufe"),
    ("a few seconds", "ein paar Sekunden"),
    ("about {n} seconds", "etwa {n} Sekunden"),
    ("about a minute", "etwa eine Minute"),
    ("about {n} minutes", "etwa {n} Minuten"),
    ("about an hour", "etwa eine Stunde"),
    ("about {n} hours", "etwa {n} Stunden"),
    ("Runs after {method}", "Läuft nach {method}"),
    ("a GPU", "eine GPU"),
    ("a free worker of the cluster", "einen freien Rechner des Clusters"),
    ("Waiting for the cluster", "Wartet auf den Cluster"),
    (
        "The server is about to restart. Try again in a minute; nothing of yours is lost.",
        "Der Server startet gleich neu. Versuche es in einer Minute noch einmal; von dir geht nichts verloren.",
    ),
    (
        "You have {count} runs going already. Wait for one to finish, or cancel one.",
        "Du hast schon {count} Läufe. Warte, bis einer fertig ist, oder brich einen ab.",
    ),
    (
        "{count} runs are going for your network address already, and others are to have a turn, too. Try "
        "again once one has finished.",
        "Für deine Netzadresse sind schon {count} Läufe im Gange, und andere sollen auch an die Reihe kommen. "
        "Versuche es noch einmal, wenn einer fertig ist.",
    ),
    (
        "{count} runs are waiting already. Try again in a few minutes.",
        "Es warten schon {count} Läufe. Versuche es in ein paar Minuten noch einmal.",
    ),
    (
        "The disk has only {free} MB left, and runs need {needed} MB. Try again later, or delete old results "
        "or other files.",
        "Die Platte hat nur noch {free} MB, und Läufe brauchen {needed} MB. Versuche es später noch einmal "
        "oder lösche alte Ergebnisse oder andere Dateien.",
    ),
    # --- How a run goes ---
    ("Looking for what {method} needs", "Was {method} braucht, wird gesucht"),
    ("{method} starts", "{method} beginnt"),
    ("View {n} of {all}", "Ansicht {n} von {all}"),
    ("View {n} of {all} is done", "Ansicht {n} von {all} ist fertig"),
    ("Saving the result", "Das Ergebnis wird gespeichert"),
    # --- How it ends ---
    (
        "Cancelled. Nothing was saved; press Generate to start again.",
        "Abgebrochen. Es wurde nichts gespeichert; mit „Erzeugen“ beginnst du neu.",
    ),
    ("Cancelled. What had finished before was saved.", "Abgebrochen. Was vorher fertig war, ist gespeichert."),
    (
        "This result is still being made. Cancel it first, or delete it once it is done.",
        "Dieses Ergebnis wird noch gemacht. Brich es erst ab, oder lösche es, wenn es fertig ist.",
    ),
    (
        "Cancelled. The other methods of this run are not affected.",
        "Abgebrochen. Die anderen Verfahren dieses Laufs betrifft das nicht.",
    ),
    (
        "The page was closed, so this run was stopped.",
        "Die Seite wurde geschlossen, deshalb wurde dieser Lauf angehalten.",
    ),
    (
        "A newer run has taken the place of this one, so it was stopped.",
        "Ein neuerer Lauf ist an die Stelle von diesem getreten, deshalb wurde er angehalten.",
    ),
    (
        "The server was restarted, so this run was stopped. Start it again.",
        "Der Server wurde neu gestartet, deshalb wurde dieser Lauf angehalten. Starte ihn noch einmal.",
    ),
    (
        "No method made anything, so nothing was saved.",
        "Kein Verfahren hat etwas gemacht, deshalb wurde nichts gespeichert.",
    ),
    ("{method} cannot run here. {why}", "{method} läuft hier nicht. {why}"),
    (
        "{method} ran out of memory. Ask for fewer or smaller views.",
        "{method} ging der Speicher aus. Verlange weniger oder kleinere Ansichten.",
    ),
    (
        "Something went wrong on our side (reference {reference}). Try again; if it stays, report the reference.",
        "Bei uns ist etwas schiefgegangen (Kennung {reference}). Versuche es noch einmal; bleibt es dabei, "
        "melde die Kennung.",
    ),
    (
        "{method} returned an unusable result. Try another seed or photo; the others are not affected.",
        "{method} lieferte ein unbrauchbares Ergebnis. Versuche einen anderen Startwert oder ein anderes Foto; "
        "die anderen betrifft das nicht.",
    ),
    (
        "Only {done} of {all} views were done when {why}. Run it again for all.",
        "Nur {done} von {all} Ansichten waren fertig: {why}. Für alle lass es noch einmal laufen.",
    ),
    (
        "This machine has no room to start another process. Wait until other runs have ended, and try again.",
        "Dieser Rechner hat keinen Platz für einen weiteren Prozess. Warte, bis andere Läufe zu Ende sind, und "
        "versuche es noch einmal.",
    ),
    ("the system ended it, as when memory runs out", "das System hat es beendet, wie wenn der Speicher ausgeht"),
    ("it crashed", "es stürzte ab"),
    ("the GPU failed", "die GPU fiel aus"),
    (
        "The GPU failed in the middle of this, as after a standby or by a fault of its driver. Try again: the next run "
        "starts it anew. If it happens again, tell whoever runs this page.",
        "Die GPU fiel mittendrin aus, wie nach einem Ruhezustand oder durch einen Fehler ihres Treibers. Versuche es "
        "noch einmal: Der nächste Lauf startet sie neu. Geschieht es wieder, sag es dem Betreiber dieser Seite.",
    ),
    (
        "{method} was ended by the system, as happens when this machine's memory runs out. Ask for fewer or "
        "smaller views, or choose a smaller method. Nothing else is touched.",
        "{method} wurde vom System beendet, wie es geschieht, wenn diesem Rechner der Speicher ausgeht. "
        "Verlange weniger oder kleinere Ansichten oder wähle ein kleineres Verfahren. Sonst ist nichts "
        "betroffen.",
    ),
    (
        "{method} {how} in the middle of its work. Try again with other settings; if it happens again, tell "
        "whoever runs this page. Nothing else is touched.",
        "{method} {how}, mitten in der Arbeit. Versuche es mit anderen Einstellungen noch einmal; geschieht es "
        "wieder, sag es dem Betreiber dieser Seite. Sonst ist nichts betroffen.",
    ),
    ("stopped answering", "antwortete nicht mehr"),
    ("crashed (exit code {code})", "stürzte ab (Exit-Code {code})"),
)
