"""What Inflate, SV3D and several methods say of themselves, and tell while they work."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- Options of several ---
    ("Steps", "Schritte"),
    ("Guidance", "Führung"),
    ("Weights: {licence}.", "Gewichte: {licence}."),
    ("Weights: {licence}. The authors' code: MIT.", "Gewichte: {licence}. Code der Autoren: MIT."),
    # --- While they work ---
    ("Looking at the photo", "Das Foto wird angesehen"),
    ("Loading the model", "Das Modell wird geladen"),
    ("Waiting for the model", "Wartet auf das Modell"),
    ("Rendering the views", "Die Ansichten werden gerendert"),
    ("Drawing {which}: step {n} of {all}", "{which}: Schritt {n} von {all}"),
    ("view {n}", "Ansicht {n}"),
    ("view {n} of {all}", "Ansicht {n} von {all}"),
    ("views {first} to {last}", "Ansichten {first} bis {last}"),
    ("views {first} to {last} of {all}", "Ansichten {first} bis {last} von {all}"),
    # --- Of several ---
    ("What the photo does not show is a guess.", "Was das Foto nicht zeigt, ist geraten."),
    (
        "It was told that the photo was taken from {degrees} degrees above level.",
        "Ihm wurde gesagt, dass das Foto {degrees} Grad über der Waagrechten entstand.",
    ),
    (
        "The network draws the object on white: where a white part reaches the outline, it may have been cut off.",
        "Das Netz zeichnet das Objekt auf Weiß: Wo ein weißer Teil den Umriss erreicht, kann er abgeschnitten sein.",
    ),
    (
        "Memory was short, so it worked in smaller pieces: slower, but the same.",
        "Der Speicher war knapp, deshalb ging es in kleineren Stücken: langsamer, aber gleich.",
    ),
    # --- Inflate ---
    (
        "Blows the photo's outline up like a balloon: instant and true to the photo from the front, a rounded "
        "guess from everywhere else.",
        "Bläst den Umriss des Fotos auf wie einen Ballon: sofort da und von vorn dem Foto treu, von überall "
        "sonst rundlich geraten.",
    ),
    ("Nothing: runs anywhere.", "Nichts: läuft überall."),
    ("Thickness", "Dicke"),
    (
        "1 makes every part as thick as it is wide; less makes it flatter",
        "Bei 1 ist jeder Teil so dick wie breit; weniger macht flacher",
    ),
    ("Back", "Rückseite"),
    (
        "The far side: the front's mirror image (right for a horse from the side), or smooth colours without a "
        "second face; auto takes the mirror where the outline is far from symmetric",
        "Die abgewandte Seite: das Spiegelbild der Vorderseite (richtig für ein Pferd von der Seite) oder "
        "glatte Farben ohne zweites Gesicht; automatisch ist gespiegelt, wo der Umriss alles andere als "
        "symmetrisch ist",
    ),
    ("auto", "automatisch"),
    ("mirror", "gespiegelt"),
    ("smooth", "glatt"),
    ("Tracing the outline", "Der Umriss wird nachgezogen"),
    ("Inflating it", "Er wird aufgeblasen"),
    ("Painting it", "Er wird bemalt"),
    (
        "The back is a guess: it is the front's mirror image.",
        "Die Rückseite ist geraten: Sie ist das Spiegelbild der Vorderseite.",
    ),
    (
        "The back is a guess: the colours near the outline are spread over it.",
        "Die Rückseite ist geraten: Die Farben vom Umriss sind über sie verteilt.",
    ),
    # --- SV3D ---
    (
        "A video model that flies once round the object: 21 views that agree, at any elevation.",
        "Ein Videomodell, das einmal um das Objekt fliegt: 21 Ansichten, die zusammenpassen, in jeder Höhe.",
    ),
    (
        "The same, untold of cameras: one level orbit at the photo's own elevation, which it infers.",
        "Dasselbe, ohne Angabe von Kameras: ein ebener Rundgang in der Höhe des Fotos, die es selbst erschließt.",
    ),
    (
        "A GPU with 16 GB, or 8 GB when it works in smaller steps; a CPU takes hours.",
        "Eine GPU mit 16 GB, oder 8 GB in kleineren Schritten; eine CPU braucht Stunden.",
    ),
    ("Denoising steps: 50 as its authors do", "Entrauschungsschritte: 50 wie bei den Autoren"),
    ("Quick", "Schnell"),
    (
        "Half of the steps, each of which learns from the one before it: half the time, and other pictures. How other "
        "was measured with random weights alone, in a small network: 38 dB (PSNR) to those of 50 steps, where 25 "
        "steps without it come to 40. Where the right answer is known it comes as near to it as all of the steps do "
        "without; with the real weights nobody has seen it yet",
        "Halb so viele Schritte, von denen jeder vom vorigen lernt: halbe Zeit und andere Bilder. Wie anders, wurde "
        "nur mit zufälligen Gewichten gemessen, in einem kleinen Netz: 38 dB (PSNR) zu denen aus 50 Schritten; 25 "
        "Schritte ohne diese Wahl kommen auf 40. Wo die richtige Antwort bekannt ist, kommt sie ihr so nahe wie sonst "
        "alle Schritte; mit den echten Gewichten hat sie noch niemand gesehen",
    ),
    ("Low memory", "Wenig Speicher"),
    (
        "One video and one frame at a time from the start: the same pictures, slower on a GPU. Without it this "
        "happens by itself when memory runs out",
        "Von Anfang an ein Video und ein Bild nach dem anderen: dieselben Bilder, auf einer GPU langsamer. "
        "Sonst geschieht das von selbst, wenn der Speicher ausgeht",
    ),
    (
        "How closely the far side follows the photo: the peak, opposite it; beside the photo it is always 1",
        "Wie genau die abgewandte Seite dem Foto folgt: der Höchstwert, gegenüber; neben dem Foto ist es immer 1",
    ),
    ("Path", "Weg"),
    (
        "as asked: through the cameras above, always once all the way round: a path drawn from the photo round and "
        "back in 21 views is flown as it is; of others it takes the elevations, so a swing to and fro becomes a whole "
        "flight round, too; level orbit: at the photo's elevation; sine: 30 degrees up and down once, as for 3D "
        "reconstruction; dynamic: uneven, drawn from the seed, as it was trained",
        "wie verlangt: durch die Kameras oben, immer einmal ganz herum: Ein Weg, der in 21 Ansichten vom Foto herum "
        "und zurück gezeichnet ist, wird so geflogen; von anderen nimmt es die Höhen, sodass auch aus einem Schwenk "
        "hin und her ein ganzer Rundflug wird; ebener Rundgang: in der Höhe des Fotos; Sinus: einmal 30 Grad auf und "
        "ab, wie zur 3D-Rekonstruktion; bewegt: ungleichmäßig, aus dem Startwert gezogen, wie es trainiert wurde",
    ),
    ("as asked", "wie verlangt"),
    ("level orbit", "ebener Rundgang"),
    ("sine", "Sinus"),
    ("dynamic", "bewegt"),
    (
        "Loading the model; the first time, it is kept in half precision for later",
        "Das Modell wird geladen; beim ersten Mal wird es für später in halber Genauigkeit aufgehoben",
    ),
    ("Keeping {what} in half precision for later", "{what} wird für später in halber Genauigkeit aufgehoben"),
    ("Drawing the orbit", "Der Rundgang wird gezeichnet"),
    ("Drawing the orbit: step {n} of {all}", "Der Rundgang wird gezeichnet: Schritt {n} von {all}"),
    ("Cutting out view {n}", "Ansicht {n} wird freigestellt"),
    ("This is the photo itself: nothing had to be drawn.", "Das ist das Foto selbst: Es war nichts zu zeichnen."),
    (
        "{method} came to no picture. Try another seed, or a lower guidance.",
        "{method} kam zu keinem Bild. Versuche einen anderen Startwert oder weniger Führung.",
    ),
    (
        "{method} draws one orbit of views together, which agree; the last of them is the photo itself.",
        "{method} zeichnet einen Rundgang zusammenpassender Ansichten auf einmal; die letzte ist das Foto selbst.",
    ),
    (
        "It infers the photo's elevation; the views are labelled with the one that was set.",
        "Es erschließt die Höhe des Fotos; an den Ansichten steht die eingestellte.",
    ),
    (
        "Which way round it flies, {sense}, is taken from its authors' code or the setting, not yet seen with "
        "its real weights.",
        "Wie herum es fliegt, {sense}, stammt aus dem Code der Autoren oder der Einstellung und wurde mit den "
        "echten Gewichten noch nicht gesehen.",
    ),
    ("clockwise", "im Uhrzeigersinn"),
    ("counter-clockwise", "gegen den Uhrzeigersinn"),
    (
        "It flew the path that was chosen in its options, not the cameras above.",
        "Es flog den Weg, der in seinen Einstellungen gewählt war, nicht den der Kameras oben.",
    ),
    (
        "It comes as near to the cameras asked for as one smooth flight round the object does.",
        "Es kommt den verlangten Kameras so nahe, wie ein glatter Flug um das Objekt es kann.",
    ),
    (
        "It draws {width} x {height} px; these views of {px} px are scaled from that.",
        "Es zeichnet {width} x {height} px; diese Ansichten mit {px} px sind daraus umgerechnet.",
    ),
    ("It knows one distance only, the photo's.", "Es kennt nur einen Abstand, den des Fotos."),
)
