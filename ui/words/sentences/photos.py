"""Of photos: uploading, reading, and what a file is instead."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- Reading a file ---
    (
        "The file is empty, so its upload or copy probably failed. Choose it again.",
        "Die Datei ist leer, wahrscheinlich schlug das Hochladen oder Kopieren fehl. Wähle sie noch einmal.",
    ),
    (
        "The file has {size}; at most {limit} are accepted. {remedy}",
        "Die Datei hat {size}; angenommen werden höchstens {limit}. {remedy}",
    ),
    (
        "Save the photo as a JPEG, or make it smaller, and use that.",
        "Speichere das Foto als JPEG oder verkleinere es und nimm das.",
    ),
    ("The picture is {width} x {height} pixels", "Das Bild hat {width} x {height} Pixel"),
    (
        "{here}, so there is nothing in it; the file is damaged. Use another photo.",
        "{here}, es ist also nichts darin; die Datei ist beschädigt. Nimm ein anderes Foto.",
    ),
    (
        "{here}: too small. Use one with at least {least} pixels on each side.",
        "{here}: zu klein. Nimm eines mit mindestens {least} Pixeln je Seite.",
    ),
    (
        "{here} ({megapixels} megapixels): too large; the limit is {limit} megapixels. Make it smaller in a "
        "picture program, and use that.",
        "{here} ({megapixels} Megapixel): zu groß; erlaubt sind {limit} Megapixel. Verkleinere es in einem "
        "Bildprogramm und nimm das.",
    ),
    (
        "{here}: too long and thin. Crop it until its longer side is at most {times} times the shorter.",
        "{here}: zu lang und schmal. Schneide es zu, bis die längere Seite höchstens {times}-mal so lang ist "
        "wie die kürzere.",
    ),
    (
        "This file is a camera raw file, which cannot be read here. Develop it to {kinds}, and use that.",
        "Diese Datei ist ein Kamera-Rohbild, das sich hier nicht lesen lässt. Entwickle es zu {kinds} und nimm das.",
    ),
    ("PNG, JPEG, WebP, AVIF or HEIC", "PNG, JPEG, WebP, AVIF oder HEIC"),
    (
        "The file holds {count} {_thing}s; the limit is {limit}. Save the {_that} you want as a PNG, and use that.",
        "Die Datei enthält {count} Bilder; erlaubt sind {limit}. Speichere das gewünschte als PNG und nimm das.",
    ),
    ("The {which} of {count} {_thing}s was used.", "Genommen wurde das {which} von {count} Bildern."),
    ("first", "erste"),
    ("main", "Hauptbild"),
    (
        "The file carries more than a picture should: its {what}. Save the photo without metadata (as a JPEG, "
        "for instance), and use that.",
        "Die Datei trägt mehr bei sich, als ein Bild sollte: {what}. Speichere das Foto ohne Metadaten (zum "
        "Beispiel als JPEG) und nimm das.",
    ),
    ("{what} takes {size}", "{what}, {size}"),
    ("information about the photo (EXIF)", "Angaben zum Foto (EXIF)"),
    ("colour profile", "Farbprofil"),
    ("texts or colour profile unpack to many megabytes", "ausgepackt viele Megabyte an Texten oder Farbprofil"),
    (
        "The photo is damaged: it begins like other {kind} files, but what follows cannot be read. Use another "
        "copy, or open it in a picture program and save it as a PNG or JPEG.",
        "Das Foto ist beschädigt: Es beginnt wie andere {kind}-Dateien, aber was folgt, lässt sich nicht "
        "lesen. Nimm eine andere Kopie oder öffne es in einem Bildprogramm und speichere es als PNG oder JPEG.",
    ),
    (
        "The photo is cut off: the {kind} file ends before the picture does, so its upload or copy was "
        "probably interrupted. Upload it again, or use another copy.",
        "Das Foto ist abgeschnitten: Die {kind}-Datei endet vor dem Bild, wahrscheinlich wurde das Hochladen "
        "oder Kopieren unterbrochen. Lade es noch einmal hoch oder nimm eine andere Kopie.",
    ),
    (
        "The photo could not be read: it is damaged, or too complex to read safely. Open it in a picture "
        "program, save it as a PNG or JPEG, and use that.",
        "Das Foto ließ sich nicht lesen: Es ist beschädigt oder zu verwickelt, um es gefahrlos zu lesen. Öffne "
        "es in einem Bildprogramm, speichere es als PNG oder JPEG und nimm das.",
    ),
    (
        "The photo is fully transparent, so nothing in it can be shown. Use one with a visible subject.",
        "Das Foto ist ganz durchsichtig, es gibt also nichts zu zeigen. Nimm eines mit einem sichtbaren Motiv.",
    ),
    (
        "The photo is one even colour, so there is nothing in it to turn. Use one with a subject in it.",
        "Das Foto hat überall dieselbe Farbe, es gibt also nichts zu drehen. Nimm eines mit einem Motiv.",
    ),
    (
        "The file is not there, or is not a plain file. Choose it again.",
        "Die Datei ist nicht da oder keine gewöhnliche Datei. Wähle sie noch einmal.",
    ),
    (
        "The file could not be opened ({reason}). Choose it again.",
        "Die Datei ließ sich nicht öffnen ({reason}). Wähle sie noch einmal.",
    ),
    ("the system gave no reason", "das System nannte keinen Grund"),
    (
        "The photo could not be read because the server is stopping. Try again in a minute.",
        "Das Foto ließ sich nicht lesen, weil der Server gerade anhält. Versuche es in einer Minute noch einmal.",
    ),
    (
        "The photo could not be read because the reader of photos did not start. Try again in a minute.",
        "Das Foto ließ sich nicht lesen, weil das Programm dafür nicht startete. Versuche es in einer Minute "
        "noch einmal.",
    ),
    # --- What a file is instead ---
    (
        "This file is an SVG drawing, which cannot be read here. Export it as a PNG, or use a {photo}.",
        "Diese Datei ist eine SVG-Zeichnung, die sich hier nicht lesen lässt. Exportiere sie als PNG oder nimm "
        "ein {photo}.",
    ),
    (
        "This file is a web page or other text, not a picture. Choose a {photo}.",
        "Diese Datei ist eine Webseite oder anderer Text, kein Bild. Wähle ein {photo}.",
    ),
    (
        "This file is {what}, which cannot be read here. Export it as {kinds}, and use that.",
        "Diese Datei ist {what}, hier nicht lesbar. Exportiere sie als {kinds} und nimm das.",
    ),
    (
        "This file is {what}, not a photo. Choose the photo itself: a {photo}.",
        "Diese Datei ist {what}, kein Foto. Wähle das Foto selbst: ein {photo}.",
    ),
    (
        "This file holds text, not a picture. Choose a {photo}.",
        "Diese Datei enthält Text, kein Bild. Wähle ein {photo}.",
    ),
    (
        "This file is not a picture of a kind that can be read here. Choose a {photo}.",
        "Diese Datei ist kein Bild, das sich hier lesen lässt. Wähle ein {photo}.",
    ),
    ("photo saved as {kinds}", "Foto, gespeichert als {kinds}"),
    ("an EPS or PostScript drawing", "eine EPS- oder PostScript-Zeichnung"),
    ("a Photoshop document", "ein Photoshop-Dokument"),
    ("a GIMP project", "ein GIMP-Projekt"),
    ("an icon (ICO)", "ein Symbol (ICO)"),
    ("a mouse pointer (CUR)", "ein Mauszeiger (CUR)"),
    ("an icon (ICNS)", "ein Symbol (ICNS)"),
    ("a FITS file", "eine FITS-Datei"),
    ("a JPEG 2000 picture", "ein JPEG-2000-Bild"),
    ("a JPEG XL picture", "ein JPEG-XL-Bild"),
    ("a JPEG XR picture", "ein JPEG-XR-Bild"),
    ("an OpenEXR picture", "ein OpenEXR-Bild"),
    ("a Radiance HDR picture", "ein Radiance-HDR-Bild"),
    ("a DDS texture", "eine DDS-Textur"),
    ("a QOI picture", "ein QOI-Bild"),
    ("a camera raw file", "ein Kamera-Rohbild"),
    ("a PDF document", "ein PDF-Dokument"),
    ("an archive or an office document", "ein Archiv oder ein Office-Dokument"),
    ("a compressed file", "eine komprimierte Datei"),
    ("an archive", "ein Archiv"),
    ("a 3D model", "ein 3D-Modell"),
    ("a video", "ein Video"),
    ("a sound or video", "ein Ton oder Video"),
    ("a sound", "ein Ton"),
    ("a program", "ein Programm"),
    # --- What was done about it ---
    (
        "The colours were stored multiplied by the transparency; this was undone.",
        "Die Farben waren mit der Transparenz multipliziert gespeichert; das wurde rückgängig gemacht.",
    ),
    ("Pixels that held no number were taken as black.", "Pixel ohne Zahl wurden als Schwarz genommen."),
    (
        "The values have no fixed range: the darkest was made black, the brightest white.",
        "Die Werte haben keinen festen Bereich: Der dunkelste wurde Schwarz, der hellste Weiß.",
    ),
    (
        "The photo's colour profile could not be read, so its colours may be a little off.",
        "Das Farbprofil des Fotos ließ sich nicht lesen, seine Farben stimmen vielleicht nicht ganz.",
    ),
    # --- Uploads ---
    (
        "This file is larger than the {mb} MB accepted here. Send a smaller one.",
        "Diese Datei ist größer als die {mb} MB, die hier angenommen werden. Schicke eine kleinere.",
    ),
    (
        "At most {count} files can be sent at once. Send fewer.",
        "Höchstens {count} Dateien gehen auf einmal. Schicke weniger.",
    ),
    (
        'This is not an upload. Send multipart/form-data with the file in a part named "files".',
        "Das ist keine hochgeladene Datei. Schicke multipart/form-data mit der Datei im Teil „files“.",
    ),
    (
        "The server's disk is full, so nothing can be uploaded at the moment. Try again in a few minutes.",
        "Die Platte des Servers ist voll, gerade lässt sich nichts hochladen. Versuche es in ein paar Minuten "
        "noch einmal.",
    ),
    (
        "The server could not store this file. Try again; if it stays, its owner has to look at the data folder.",
        "Der Server konnte diese Datei nicht ablegen. Versuche es noch einmal; bleibt es dabei, muss sein "
        "Betreiber nach dem Datenordner sehen.",
    ),
    (
        "This file was not uploaded here, or has been cleaned away since. Upload it again.",
        "Diese Datei wurde nicht hier hochgeladen oder ist inzwischen weggeräumt. Lade sie noch einmal hoch.",
    ),
    (
        "Addresses and embedded files are not accepted. Upload the photo as a file instead.",
        "Adressen und eingebettete Dateien werden nicht angenommen. Lade das Foto als Datei hoch.",
    ),
    (
        "This request is too large or too deeply nested. Send one photo and plain values.",
        "Diese Anfrage ist zu groß oder zu tief verschachtelt. Schicke ein Foto und einfache Werte.",
    ),
    (
        "Some of these values are missing or of the wrong kind. The API page at the foot of the app lists what fits.",
        "Einige dieser Werte fehlen oder sind von der falschen Art. Die API-Seite am Fuß der App nennt, was passt.",
    ),
    ("A {thing} is missing. Upload one as a file.", "Es fehlt: {thing}. Lade es als Datei hoch."),
    ("photo", "Foto"),
    ("depth", "Tiefe"),
    (
        "There is no photo yet. Upload one, or choose an example.",
        "Es gibt noch kein Foto. Lade eines hoch oder wähle ein Beispiel.",
    ),
    (
        "The photo is not cut out yet. See the message beside it, then press Generate again.",
        "Das Foto ist noch nicht freigestellt. Lies die Meldung daneben, dann wieder „Erzeugen“.",
    ),
    (
        "This photo is no longer held here: the server was started again, or the photo was not used for a "
        "while. Choose it again.",
        "Dieses Foto ist nicht mehr hier: Der Server wurde neu gestartet, oder es wurde eine Weile nicht "
        "gebraucht. Wähle es noch einmal.",
    ),
    ("This cut-out is no longer held here.", "Dieses Motiv ist nicht mehr hier."),
)
