"""Of cutting out, the mask and its strokes, and a depth that is brought along."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- Cutting out ---
    ("Finding the object", "Das Objekt wird gesucht"),
    ("{remover} looks for the object", "{remover} sucht das Objekt"),
    ("Framing the object", "Das Objekt wird ins Bild gesetzt"),
    ("Preparing the background remover for the first time", "Der Freisteller wird zum ersten Mal vorbereitet"),
    (
        "Waiting: {remover} is being fetched for another visitor",
        "Wartet: {remover} wird gerade für jemand anderen geladen",
    ),
    ("Checking {remover}'s file", "Die Datei von {remover} wird geprüft"),
    ("{remover}'s model", "Modell von {remover}"),
    (
        "There is no background remover {key}. There are: {known}.",
        "Es gibt keinen Freisteller {key}. Es gibt: {known}.",
    ),
    (
        "There is no background remover {key}. Choose one of: {known}.",
        "Es gibt keinen Freisteller {key}. Wähle einen von: {known}.",
    ),
    ("{remover} cannot run here. {why} {instead}", "{remover} läuft hier nicht. {why} {instead}"),
    (
        "{remover} needs about {needed} GB of memory, and only {free} GB are free at the moment. Try again "
        "when less is going on. {instead}",
        "{remover} braucht etwa {needed} GB Speicher, und nur {free} GB sind gerade frei. Versuche es noch "
        "einmal, wenn weniger los ist. {instead}",
    ),
    ("Meanwhile, choose the remover “{title}” ({key}).", "Nimm so lange den Freisteller „{title}“ ({key})."),
    ("Outline (nothing to download)", "Umriss (nichts zu laden)"),
    (
        "It needs about {needed} GB of memory, and this machine has {there} GB.",
        "Er braucht etwa {needed} GB Speicher, und dieser Rechner hat {there} GB.",
    ),
    (
        "rembg or onnxruntime is not installed here: pip install -r requirements.txt brings them.",
        "rembg oder onnxruntime ist hier nicht installiert: pip install -r requirements.txt bringt sie.",
    ),
    (
        "This photo has no transparency of its own. Choose another background remover, or auto.",
        "Dieses Foto hat keine eigene Transparenz. Wähle einen anderen Freisteller oder den automatischen.",
    ),
    (
        "No object was found in this photo. Use a photo in which one object stands out from its background, "
        "try another background remover, or upload a PNG that is already cut out.",
        "In diesem Foto wurde kein Objekt gefunden. Nimm ein Foto, in dem sich ein Objekt vom Hintergrund "
        "abhebt, versuche einen anderen Freisteller oder lade ein PNG hoch, das schon freigestellt ist.",
    ),
    (
        "Everything in this photo is erased. Undo the last stroke, or paint the object in.",
        "In diesem Foto ist alles wegradiert. Nimm den letzten Strich zurück oder male das Objekt hinein.",
    ),
    (
        "Only {px} px of the object are left. Undo a stroke, or paint more in.",
        "Vom Objekt sind nur {px} px übrig. Nimm einen Strich zurück oder male mehr hinein.",
    ),
    (
        "The object found in this photo is only {px} px large. Use a photo in which it is larger, or crop the "
        "photo closer.",
        "Das Objekt in diesem Foto ist nur {px} px groß. Nimm ein Foto, in dem es größer ist, oder schneide "
        "das Foto enger zu.",
    ),
    (
        "The object is only {px} px large in this photo, so views of it will look soft.",
        "Das Objekt ist in diesem Foto nur {px} px groß, seine Ansichten werden weich aussehen.",
    ),
    (
        "The object is cut off at the photo's {where} {_edges}; a photo that shows all of it gives better views.",
        "Das Objekt ist am Rand des Fotos abgeschnitten ({where}); ein Foto, das es ganz zeigt, gibt bessere "
        "Ansichten.",
    ),
    ("top", "oben"),
    ("bottom", "unten"),
    ("left", "links"),
    ("right", "rechts"),
    ("{first} and {last}", "{first} und {last}"),
    (
        "The share of the frame must lie between {low} and {high}, not {given}.",
        "Der Anteil am Bild muss zwischen {low} und {high} liegen, nicht {given}.",
    ),
    ("The share of the frame", "Der Anteil am Bild"),
    (
        "The feather must lie between {low} and {high} of the object's longest side, not {given}.",
        "Der weiche Rand muss zwischen {low} und {high} der längsten Seite des Objekts liegen, nicht {given}.",
    ),
    ("The feather", "Der weiche Rand"),
    (
        "The photo's elevation must lie between -90 and 90 degrees, not {given}.",
        "Die Kamerahöhe muss zwischen -90 und 90 Grad liegen, nicht {given}.",
    ),
    ("The photo's elevation", "Die Kamerahöhe"),
    (
        "The cut-out is empty, so there is nothing to inflate. Choose another photo or remover.",
        "Das Motiv ist leer, es gibt nichts aufzublasen. Wähle ein anderes Foto oder einen anderen Freisteller.",
    ),
    # --- The mask ---
    (
        "The strokes cover all of the photo, so the mask is as it was. Undo the last one, or press Start over.",
        "Die Striche bedecken das ganze Foto, die Maske ist deshalb wie vorher. Nimm den letzten zurück oder "
        "drücke „Von vorn“.",
    ),
    (
        "The strokes could not be read, so the mask is as it was. Press Start over and paint again.",
        "Die Striche ließen sich nicht lesen, die Maske ist deshalb wie vorher. Drücke „Von vorn“ und male "
        "noch einmal.",
    ),
    (
        "The painted strokes are no RGBA picture. Open the mask again and repaint it.",
        "Die gemalten Striche sind kein RGBA-Bild. Öffne die Maske wieder und male sie neu.",
    ),
    (
        "The painted strokes are {width} x {height} px large; at most {most} px a side are read. Open the mask "
        "again and repaint it.",
        "Die gemalten Striche sind {width} x {height} px groß; gelesen werden höchstens {most} px je Seite. "
        "Öffne die Maske wieder und male sie neu.",
    ),
    (
        "The painted strokes belong to another picture: theirs has {width} x {height} px, and this photo "
        "{its_width} x {its_height}. Open the mask of this photo and repaint it.",
        "Die gemalten Striche gehören zu einem anderen Bild: Das hat {width} x {height} px, dieses Foto "
        "{its_width} x {its_height}. Öffne die Maske dieses Fotos und male sie neu.",
    ),
    ("The mask editor could not be filled", "Der Masken-Editor ließ sich nicht füllen"),
    # --- A depth brought along ---
    ("The depth is {width} x {height} pixels", "Die Tiefe hat {width} x {height} Pixel"),
    (
        "{here}: too small. Use one with at least {least} on each side.",
        "{here}: zu klein. Nimm eine mit mindestens {least} je Seite.",
    ),
    (
        "{here}: too large; the limit is {limit} megapixels. Make it smaller.",
        "{here}: zu groß; erlaubt sind {limit} Megapixel. Verkleinere sie.",
    ),
    (
        "Save the depth as a 16-bit PNG, or make it smaller, and use that.",
        "Speichere die Tiefe als 16-Bit-PNG oder verkleinere sie und nimm das.",
    ),
    (
        "Save it as a 16-bit grey PNG, or with NumPy as an array (.npy)",
        "Speichere sie als graues 16-Bit-PNG oder mit NumPy als Array (.npy)",
    ),
    (
        "The depth could not be read: its file is damaged, cut off, or too complex to read safely. {remedy}.",
        "Die Tiefe ließ sich nicht lesen: Ihre Datei ist beschädigt, abgeschnitten oder zu verwickelt, um sie "
        "gefahrlos zu lesen. {remedy}.",
    ),
    (
        "This file is neither a PNG nor an NPY, so it cannot be read as a depth. {remedy}.",
        "Diese Datei ist weder PNG noch NPY, lässt sich also nicht als Tiefe lesen. {remedy}.",
    ),
    (
        "This NPY does not hold plain numbers, so it cannot be read as a depth. {remedy}.",
        "Dieses NPY enthält keine einfachen Zahlen, lässt sich also nicht als Tiefe lesen. {remedy}.",
    ),
    (
        "This NPY's array has the shape {shape}; a depth has a height and a width.",
        "Das Array dieses NPY hat die Form {shape}; eine Tiefe hat eine Höhe und eine Breite.",
    ),
    (
        "This depth tells no distance anywhere: each of its values is zero, negative, no number or too large. "
        "Check how it was saved.",
        "Diese Tiefe nennt nirgends einen Abstand: Jeder Wert ist null, negativ, keine Zahl oder zu groß. "
        "Prüfe, wie sie gespeichert wurde.",
    ),
    (
        "This picture of the depth is coloured, and colours do not tell how far away something is. {remedy}, "
        "before it is coloured.",
        "Dieses Bild der Tiefe ist bunt, und Farben sagen nicht, wie weit etwas weg ist. {remedy}, bevor sie "
        "eingefärbt wird.",
    ),
    (
        "The depth came {how}: at most 256 steps, which may show. 16-bit grey is smoother.",
        "Die Tiefe kam {how}: höchstens 256 Stufen, die man sehen kann. 16-Bit-Grau ist glatter.",
    ),
    ("in a form of which only 8 bits can be read", "in einer Form, von der sich nur 8 Bit lesen lassen"),
    ("in 8 bits or fewer", "in 8 Bit oder weniger"),
    (
        "The depth has another shape than the photo: {ratio} times as wide as high instead of {its_ratio}. It "
        "has to show all of the photo, upright; its size may differ.",
        "Die Tiefe hat eine andere Form als das Foto: {ratio}-mal so breit wie hoch statt {its_ratio}-mal. Sie "
        "muss das ganze Foto zeigen, aufrecht; ihre Größe darf abweichen.",
    ),
    (
        "The depth that came with the photo is unknown all over the object.",
        "Die Tiefe, die mit dem Foto kam, ist auf dem ganzen Objekt unbekannt.",
    ),
)
