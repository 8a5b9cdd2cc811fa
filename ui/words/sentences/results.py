"""Of results: saving, opening, deleting, and their videos and 3D models."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- Saving ---
    ("The result could not be started", "Das Ergebnis ließ sich nicht anlegen"),
    ("The result could not be saved", "Das Ergebnis ließ sich nicht speichern"),
    ("The cut-out could not be saved", "Das Motiv ließ sich nicht speichern"),
    ("Results cannot be saved", "Ergebnisse lassen sich nicht speichern"),
    ("The result could not be deleted", "Das Ergebnis ließ sich nicht löschen"),
    ("Old results could not be removed", "Alte Ergebnisse ließen sich nicht entfernen"),
    ("The download could not be made", "Die Datei zum Mitnehmen ließ sich nicht machen"),
    ("{what} could not be saved", "{what} ließ sich nicht speichern"),
    ("{doing}: {why}", "{doing}: {why}"),
    (
        "the disk is full. Delete old results or free some space, then try again; nothing half-written was kept.",
        "Die Platte ist voll. Lösche alte Ergebnisse oder mach Platz, dann versuche es noch einmal; halb "
        "Geschriebenes wurde nicht behalten.",
    ),
    (
        "its place cannot be written to. Check that its folder is one, that nothing of its name is in the way, "
        "and that the app may write there.",
        "Dort lässt sich nicht schreiben. Prüfe, ob der Ordner einer ist, ob nichts mit diesem Namen im Weg "
        "liegt und ob die App dort schreiben darf.",
    ),
    (
        "its folder was removed meanwhile, or cannot be made. Try again; if it stays, choose another place.",
        "Der Ordner wurde inzwischen entfernt oder lässt sich nicht anlegen. Versuche es noch einmal; bleibt "
        "es dabei, wähle einen anderen Ort.",
    ),
    (
        "the disk reported an error ({name}). Try again; if it stays, check the disk.",
        "Die Platte meldete einen Fehler ({name}). Versuche es noch einmal; bleibt es dabei, prüfe die Platte.",
    ),
    (
        "The store of results is busy. Try again in a moment.",
        "Die Ablage der Ergebnisse ist beschäftigt. Versuche es gleich noch einmal.",
    ),
    (
        "The result could not be described: one of its values is not a finite number or plain text. It was not "
        "saved; try another seed or other options.",
        "Das Ergebnis ließ sich nicht beschreiben: Einer seiner Werte ist keine endliche Zahl und kein "
        "einfacher Text. Es wurde nicht gespeichert; versuche einen anderen Startwert oder andere "
        "Einstellungen.",
    ),
    (
        "It was not saved. Try another seed or another photo.",
        "Es wurde nicht gespeichert. Versuche einen anderen Startwert oder ein anderes Foto.",
    ),
    (
        "The result is empty: it has neither views nor a 3D model. {again}",
        "Das Ergebnis ist leer: Es hat weder Ansichten noch ein 3D-Modell. {again}",
    ),
    (
        "The result is damaged: its views are not pictures of one size. {again}",
        "Das Ergebnis ist beschädigt: Seine Ansichten sind keine Bilder von einer Größe. {again}",
    ),
    (
        "The result is damaged: some of its numbers are not finite. {again}",
        "Das Ergebnis ist beschädigt: Einige seiner Zahlen sind nicht endlich. {again}",
    ),
    (
        "The result is empty: nothing can be seen in any view. {again}",
        "Das Ergebnis ist leer: In keiner Ansicht ist etwas zu sehen. {again}",
    ),
    (
        "A picture could not be encoded as PNG. Try another size.",
        "Ein Bild ließ sich nicht als PNG speichern. Versuche eine andere Größe.",
    ),
    (
        "A picture could not be encoded as WebP. Try another size.",
        "Ein Bild ließ sich nicht als WebP speichern. Versuche eine andere Größe.",
    ),
    # --- Opening, running again, deleting ---
    (
        "There is no result behind this link. It may have been deleted, or the link is incomplete.",
        "Hinter diesem Link steht kein Ergebnis. Vielleicht wurde es gelöscht, oder der Link ist unvollständig.",
    ),
    (
        "This result is still being made. Open the link again in a moment.",
        "Dieses Ergebnis wird noch gemacht. Öffne den Link gleich noch einmal.",
    ),
    (
        "The server stopped while this result was being made, and nothing of it was kept. Start it again.",
        "Der Server hielt an, während dieses Ergebnis gemacht wurde, und nichts davon blieb. Starte es noch einmal.",
    ),
    (
        "This result is damaged and cannot be shown. The others are not affected; make it again from the photo.",
        "Dieses Ergebnis ist beschädigt und lässt sich nicht zeigen. Die anderen betrifft das nicht; mach es "
        "aus dem Foto noch einmal.",
    ),
    (
        "This result was made by a newer version of the app. Update the app to open it.",
        "Dieses Ergebnis stammt von einer neueren Fassung der App. Bringe die App auf den neuesten Stand, um "
        "es zu öffnen.",
    ),
    (
        "The recorded example is not part of this installation. Make a turnaround of your own from a photo.",
        "Das aufgezeichnete Beispiel gehört nicht zu dieser Installation. Mach aus einem Foto eigene Ansichten.",
    ),
    (
        "A wall shows at most {most} results; this link names {count}.",
        "Eine Wand zeigt höchstens {most} Ergebnisse; dieser Link nennt {count}.",
    ),
    (
        "Too many people are following this run. Open its link again when it is done.",
        "Zu viele Leute verfolgen diesen Lauf. Öffne seinen Link noch einmal, wenn er fertig ist.",
    ),
    (
        "This result is no longer here, so it cannot be run again. Start a new run from the photo.",
        "Dieses Ergebnis ist nicht mehr hier und kann deshalb nicht noch einmal laufen. Beginne aus dem Foto "
        "einen neuen Lauf.",
    ),
    (
        "This result has cameras that the controls cannot express. It can be run again exactly, though.",
        "Dieses Ergebnis hat Kameras, die sich mit den Reglern nicht einstellen lassen. Genau so noch einmal "
        "laufen kann es.",
    ),
    (
        "Only the browser that made a result can delete it, and this one did not, or has forgotten it.",
        "Löschen kann ein Ergebnis nur der Browser, der es gemacht hat, und das war nicht dieser, oder er weiß "
        "es nicht mehr.",
    ),
    # --- Videos ---
    ("The video", "Das Video"),
    ("The WebP animation", "Die WebP-Animation"),
    ("The GIF", "Das GIF"),
    ("The quality", "Die Qualität"),
    ("The frame rate", "Die Bildrate"),
    (
        "The quality must lie between 0 and 100, not {given}.",
        "Die Qualität muss zwischen 0 und 100 liegen, nicht {given}.",
    ),
    (
        "The frame rate must lie between {low} and {high} frames a second, not {given}.",
        "Die Bildrate muss zwischen {low} und {high} Bildern je Sekunde liegen, nicht {given}.",
    ),
    (
        "There are no frames to make a video of. Render at least one view first.",
        "Es gibt keine Bilder für ein Video. Rendere zuerst mindestens eine Ansicht.",
    ),
    (
        "A video needs frames of one size, as RGBA pictures of 8 bits a channel.",
        "Ein Video braucht Bilder von einer Größe, als RGBA mit 8 Bit je Kanal.",
    ),
    (
        "{what} could not be made, because its encoder is missing here: the package {package}. Install what "
        "requirements.txt lists. The pictures are not affected.",
        "{what} ließ sich nicht machen, weil hier der Encoder fehlt: das Paket {package}. Installiere, was in "
        "requirements.txt steht. Die Bilder betrifft das nicht.",
    ),
    (
        "{what} could not be made, because the encoder refused: {why}. Try another size or number of views. "
        "The pictures are not affected.",
        "{what} ließ sich nicht machen, weil der Encoder sich weigerte: {why}. Versuche eine andere Größe oder "
        "Zahl der Ansichten. Die Bilder betrifft das nicht.",
    ),
    # --- 3D models ---
    (
        "The mesh has {count} triangles; at most {most} can be drawn. Simplify it first.",
        "Das Netz hat {count} Dreiecke; höchstens {most} lassen sich zeichnen. Vereinfache es zuerst.",
    ),
    (
        "This is usually a run that went wrong: try another seed or another photo.",
        "Meist ist dann ein Lauf misslungen: Versuche einen anderen Startwert oder ein anderes Foto.",
    ),
    ("The 3D model is empty: it has no triangles. {again}", "Das 3D-Modell ist leer: Es hat keine Dreiecke. {again}"),
    (
        "The 3D model is damaged: it is not made of triangles. {again}",
        "Das 3D-Modell ist beschädigt: Es besteht nicht aus Dreiecken. {again}",
    ),
    (
        "The 3D model is damaged: its triangles name corners that do not exist. {again}",
        "Das 3D-Modell ist beschädigt: Seine Dreiecke nennen Ecken, die es nicht gibt. {again}",
    ),
    (
        "The 3D model is damaged: its {what} do not match its corners. {again}",
        "Das 3D-Modell ist beschädigt: {what} passen nicht zu seinen Ecken. {again}",
    ),
    (
        "The 3D model is damaged: some {what} are not finite numbers. {again}",
        "Das 3D-Modell ist beschädigt: Darin sind keine endlichen Zahlen ({what}). {again}",
    ),
    (
        "The 3D model is damaged: its texture is not a picture. {again}",
        "Das 3D-Modell ist beschädigt: Seine Textur ist kein Bild. {again}",
    ),
    ("positions", "Positionen"),
    ("texture coordinates", "Texturkoordinaten"),
    ("colours", "Farben"),
    ("normals", "Normalen"),
    ("The file", "Die Datei"),
    (
        "{file} is larger than {most} MB. Simplify the model first.",
        "{file} ist größer als {most} MB. Vereinfache das Modell zuerst.",
    ),
    (
        "{file} is not a 3D model that can be read. Use GLB, OBJ or PLY.",
        "{file} ist kein lesbares 3D-Modell. Nimm GLB, OBJ oder PLY.",
    ),
    (
        "{file} unpacks to more than {most} MB. Simplify the model first.",
        "{file} hat ausgepackt mehr als {most} MB. Vereinfache das Modell zuerst.",
    ),
    (
        "{file} is damaged and cannot be read as a 3D model. Export it again.",
        "{file} ist beschädigt und lässt sich nicht als 3D-Modell lesen. Exportiere es noch einmal.",
    ),
    (
        "{file} holds no triangles. Export it again as a mesh.",
        "{file} enthält keine Dreiecke. Exportiere es noch einmal als Netz.",
    ),
)
