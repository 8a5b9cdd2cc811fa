"""What the learned methods but SV3D say of themselves, and tell while they work."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- iNVS ---
    (
        "Moves the photo's own pixels to the new camera, so text stays sharp, and paints only what is missing.",
        "Rückt die Pixel des Fotos selbst zur neuen Kamera, Schrift bleibt also scharf, und malt nur, was fehlt.",
    ),
    (
        "A GPU with 6 GB, or patience; as warp only, any machine.",
        "Eine GPU mit 6 GB oder Geduld; „nur verrücken“ läuft auf jedem Rechner.",
    ),
    ("Apache-2.0. Weights: {which}.", "Apache-2.0. Gewichte: {which}."),
    ("CreativeML OpenRAIL-M (inpainter)", "CreativeML OpenRAIL-M (Ausmaler)"),
    ("Apache-2.0 (Depth Anything)", "Apache-2.0 (Depth Anything)"),
    ("What is hidden", "Was verdeckt ist"),
    (
        "inpainter: a diffusion model paints it in; warp only: the colours around it are spread there, as far as "
        "the blown-up outline reaches. That needs no GPU and, with the inflated outline, no download",
        "Ausmaler: ein Diffusionsmodell malt es hinein; nur verrücken: die Farben ringsum werden dorthin verlaufen "
        "gelassen, so weit der aufgeblasene Umriss reicht. Das braucht keine GPU und, mit dem aufgeblasenen Umriss, "
        "keinen Download",
    ),
    ("inpainter", "Ausmaler"),
    ("warp only", "nur verrücken"),
    ("Depth", "Tiefe"),
    (
        "Where each pixel lies: ZoeDepth, as its authors do; Depth Anything V2, smaller; the outline blown up, "
        "as Inflate does, without a network; or what you brought along with the photo, in which larger is "
        "farther (depth) or nearer (disparity), in proportion, and 0 is unknown",
        "Wo jedes Pixel liegt: ZoeDepth, wie bei den Autoren; Depth Anything V2, kleiner; der aufgeblasene "
        "Umriss, wie bei Inflate, ohne Netz; oder was du zum Foto mitgebracht hast, wobei größer ferner "
        "(Tiefe) oder näher (Disparität) heißt, im Verhältnis, und 0 unbekannt",
    ),
    ("inflated outline", "aufgeblasener Umriss"),
    ("your own depth", "deine eigene Tiefe"),
    ("your own disparity", "deine eigene Disparität"),
    ("Relief", "Relief"),
    ("How strong the relief is: 0 is flat, 1 as it is told", "Wie stark das Relief ist: 0 ist flach, 1 wie angegeben"),
    ("Turning axis", "Drehachse"),
    (
        "How deep inside it runs, but for the inflated outline: 0 turns it about its front, 0.35 suits most, 0.5 a box",
        "Wie tief im Inneren sie verläuft, außer beim aufgeblasenen Umriss: 0 dreht um die Vorderseite, 0.35 passt "
        "meist, 0.5 zu einem Kasten",
    ),
    ("Neighbours agree", "Nachbarn stimmen überein"),
    (
        "Views are painted outwards from the photo, and each is shown what was painted for those before it on its "
        "side and, behind the object, on the other",
        "Ansichten werden vom Foto aus gemalt, und jede bekommt gezeigt, was vor ihr auf ihrer Seite und, hinter dem "
        "Objekt, auf der anderen gemalt wurde",
    ),
    ("Hold on to what is known", "Bekanntes festhalten"),
    (
        "The inpainter is handed the known parts anew after each of its steps, so what it paints fits them "
        "more tightly; seams may show more",
        "Der Ausmaler bekommt nach jedem Schritt die bekannten Teile neu, was er malt, passt also enger dazu; "
        "Nähte können deutlicher werden",
    ),
    ("Prompt", "Prompt"),
    (
        'What the object is, in a few English words, as "a red mug": a stock inpainter is then asked for "photo '
        'of a red mug on white background", and without them for "photo of an object"; a fine-tuned one for just the '
        "words",
        "Was das Objekt ist, in ein paar englischen Wörtern, etwa „a red mug“: Ein gewöhnlicher Ausmaler soll dann "
        "„photo of a red mug on white background“ malen, ohne sie „photo of an object“; ein dafür trainierter nur "
        "die Wörter",
    ),
    ("Denoising steps", "Entrauschungsschritte"),
    (
        "How closely it follows the prompt or, fine-tuned, what is there; 1 is quickest",
        "Wie genau es dem Prompt folgt oder, dafür trainiert, dem, was da ist; 1 ist am schnellsten",
    ),
    ("Measuring its depth with {network}", "Die Tiefe wird mit {network} gemessen"),
    ("Its depth is known", "Die Tiefe ist bekannt"),
    ("View {n} of {all}: what the photo shows", "Ansicht {n} von {all}: was das Foto zeigt"),
    (
        "View {n} of {all}: what the photo shows; what is orange is to be painted",
        "Ansicht {n} von {all}: was das Foto zeigt; was orange ist, wird gemalt",
    ),
    ("Loading the inpainter", "Der Ausmaler wird geladen"),
    ("Painting {which} of {views}: step {n} of {all}", "{which} von {views}: Malschritt {n} von {all}"),
    (
        "iNVS was asked to go by your own depth, and none came with the photo. Add it under the photo, where its "
        "cut-out is repaired, and press Generate; or choose another depth.",
        "iNVS sollte nach deiner eigenen Tiefe gehen, und mit dem Foto kam keine. Lade sie unter dem Foto hoch, wo das "
        "Motiv ausgebessert wird, und drücke „Erzeugen“; oder wähle eine andere Tiefe.",
    ),
    (
        "The cut-out is empty, so it has no depth. Choose another photo or remover.",
        "Das Motiv ist leer, hat also keine Tiefe. Wähle ein anderes Foto oder einen anderen Freisteller.",
    ),
    (
        "Nothing is known of how deep the object is. Choose another depth.",
        "Wie tief das Objekt ist, ist nicht bekannt. Wähle eine andere Tiefe.",
    ),
    (
        "No inpainter was used: where the photo does not show the object, the colours around were spread, as far "
        "as the outline reaches when it is blown up.",
        "Kein Ausmaler war am Werk: Wo das Foto das Objekt nicht zeigt, verlaufen die Farben ringsum, so weit der "
        "aufgeblasene Umriss reicht.",
    ),
    ("All that is seen of it is the photo's own.", "Alles, was zu sehen ist, stammt aus dem Foto."),
    (
        "What the photo does not show was painted by an inpainter that was fine-tuned for this.",
        "Was das Foto nicht zeigt, malte ein Ausmaler, der dafür trainiert wurde.",
    ),
    (
        "No weights of its authors' were published: a stock inpainter painted what the photo does not show.",
        "Die Autoren haben keine Gewichte veröffentlicht: Was das Foto nicht zeigt, malte ein gewöhnlicher Ausmaler.",
    ),
    (
        "No weights of its authors' were published: a stock inpainter painted what the photo does not show, "
        "and further round than about {degrees} degrees it is guessing.",
        "Die Autoren haben keine Gewichte veröffentlicht: Was das Foto nicht zeigt, malte ein gewöhnlicher "
        "Ausmaler, und weiter herum als etwa {degrees} Grad rät er.",
    ),
    ('The inpainter was asked for "{prompt}".', "Der Ausmaler sollte „{prompt}“ malen."),
    (
        "The inpainter draws on white: where a white part that it made up reaches the outline, it may have been "
        "cut off, and a gap inside, as of a handle, stays white.",
        "Der Ausmaler malt auf Weiß: Wo ein weißer Teil, den er erfand, den Umriss erreicht, kann er abgeschnitten "
        "sein, und eine Lücke im Innern, wie bei einem Henkel, bleibt weiß.",
    ),
    (
        "Its depth is a guess from the outline, as Inflate makes it: no network has looked at the photo.",
        "Die Tiefe ist aus dem Umriss geraten, wie bei Inflate: Kein Netz hat das Foto angesehen.",
    ),
    (
        "{network} told its depth; where that is wrong, what is moved is out of place.",
        "Die Tiefe stammt von {network}; wo sie nicht stimmt, liegt am falschen Ort, was bewegt wurde.",
    ),
    (
        "Its depth came with the photo; larger was read as {which}.",
        "Die Tiefe kam mit dem Foto; größer wurde als {which} gelesen.",
    ),
    ("farther", "ferner"),
    ("nearer", "näher"),
    (
        "Much of that depth reaches further than an object does, and was held back: perhaps it was stretched, "
        "or the other way round. Try less relief.",
        "Vieles an dieser Tiefe reicht weiter als ein Objekt und wurde zurückgehalten: Vielleicht war sie "
        "gedehnt oder andersherum. Versuche weniger Relief.",
    ),
    (
        "What was painted got its depth from the outline, as Inflate makes it.",
        "Was gemalt wurde, bekam seine Tiefe aus dem Umriss, wie bei Inflate.",
    ),
    (
        "The depth that came with the photo was not used; it is one of the choices of Depth.",
        "Die Tiefe, die mit dem Foto kam, wurde nicht benutzt; unter „Tiefe“ steht sie zur Wahl.",
    ),
    # --- Zero-1-to-3 ---
    (
        "The first network that draws any object from any camera, given one photo: each view by itself.",
        "Das erste Netz, das aus einem Foto jedes Objekt von jeder Kamera zeichnet: jede Ansicht für sich.",
    ),
    (
        "Zero-1-to-3 trained on ten times as many objects: better with unusual things and drawings.",
        "Zero-1-to-3, trainiert mit zehnmal so vielen Objekten: besser bei Ungewöhnlichem und Zeichnungen.",
    ),
    (
        "Zero-1-to-3 trained again on better renderings, and told from how high the photo was taken.",
        "Zero-1-to-3, neu trainiert mit besseren Bildern und mit der Angabe, aus welcher Höhe das Foto ist.",
    ),
    (
        "A GPU with 6 GB; a CPU with 8 GB of memory takes a minute or more a view.",
        "Eine GPU mit 6 GB; eine CPU mit 8 GB Speicher braucht je Ansicht eine Minute oder mehr.",
    ),
    (
        "Denoising steps: more take longer and show finer detail; a number that does not divide 1000 becomes some more",
        "Entrauschungsschritte: mehr dauern länger und zeigen feinere Einzelheiten; eine Zahl, die 1000 nicht "
        "teilt, wird etwas größer",
    ),
    (
        "How closely the views follow the photo; high values exaggerate its colours, 1 is quickest",
        "Wie genau die Ansichten dem Foto folgen; hohe Werte übertreiben seine Farben, 1 ist am schnellsten",
    ),
    ("Fresh noise", "Frisches Rauschen"),
    (
        "How much noise each step adds again: 1 as its authors do, 0 for smoother views",
        "Wie viel Rauschen jeder Schritt wieder hinzufügt: 1 wie bei den Autoren, 0 für glattere Ansichten",
    ),
    ("Checkpoint", "Checkpoint"),
    (
        "threestudio: the smallest download, of which nobody says how long it was trained; 105000: the steps "
        "of the authors' own demo; 165000: longer",
        "threestudio: der kleinste Download, von dem niemand sagt, wie lange er trainiert wurde; 105000: die "
        "Schritte der Demo der Autoren; 165000: länger",
    ),
    (
        "What the photo does not show, the back above all, is invented anew for each view, so neighbouring "
        "views may disagree.",
        "Was das Foto nicht zeigt, vor allem die Rückseite, wird für jede Ansicht neu erfunden; benachbarte "
        "passen vielleicht nicht zusammen.",
    ),
    (
        "{method} draws {width} x {height} px; these views of {px} px are scaled from that.",
        "{method} zeichnet {width} x {height} px; diese Ansichten mit {px} px sind daraus umgerechnet.",
    ),
    (
        "It has a lens of its own, {degrees} degrees wide here; methods with geometry are shown with another.",
        "Es hat ein eigenes Objektiv, hier {degrees} Grad weit; Verfahren mit Geometrie werden mit einem "
        "anderen gezeigt.",
    ),
    (
        "The network draws the object on white: where a white part reaches the outline, it may have been cut "
        "off, and a gap inside, as of a handle, stays white.",
        "Das Netz zeichnet das Objekt auf Weiß: Wo ein weißer Teil den Umriss erreicht, kann er abgeschnitten "
        "sein, und eine Lücke im Innern, wie bei einem Henkel, bleibt weiß.",
    ),
    (
        "It knows distances from {near} to {far} of the photo's; beyond, its pictures are scaled.",
        "Es kennt Abstände vom {near}- bis zum {far}fachen des Fotos; darüber hinaus sind die Bilder umgerechnet.",
    ),
    (
        "It knows one distance only: for others, its pictures are scaled.",
        "Es kennt nur einen Abstand: Für andere sind die Bilder umgerechnet.",
    ),
    # --- Zero123++ ---
    (
        "Draws six views all round the object in one go, so that they agree with one another.",
        "Zeichnet sechs Ansichten rund um das Objekt in einem Zug, damit sie zusammenpassen.",
    ),
    (
        "Weights: {licence} (v1.1's repository is tagged openrail, v1.2's states no licence). The authors' "
        "code: Apache-2.0.",
        "Gewichte: {licence} (das Repository von v1.1 ist mit openrail gekennzeichnet, das von v1.2 nennt "
        "keine Lizenz). Code der Autoren: Apache-2.0.",
    ),
    (
        "A GPU with 8 GB; a CPU with 16 GB of memory takes long.",
        "Eine GPU mit 8 GB; eine CPU mit 16 GB Speicher braucht lange.",
    ),
    ("Version", "Fassung"),
    (
        "v1.2 looks from 20 degrees above and 10 below, and is the better one for most objects; v1.1 from 30 "
        "above and 20 below, through a wider lens",
        "v1.2 schaut von 20 Grad oben und 10 unten und ist für die meisten Objekte besser; v1.1 von 30 oben "
        "und 20 unten, durch ein weiteres Objektiv",
    ),
    (
        "Denoising steps: 28 are enough for most objects, faces and other fine detail take up to 75",
        "Entrauschungsschritte: 28 reichen für die meisten Objekte, Gesichter und andere feine Einzelheiten "
        "brauchen bis zu 75",
    ),
    (
        "How closely the views follow the photo; high values exaggerate its colours",
        "Wie genau die Ansichten dem Foto folgen; hohe Werte übertreiben seine Farben",
    ),
    ("Denoising, step {n} of {all}", "Entrauschen, Schritt {n} von {all}"),
    ("Decoding the six views", "Die sechs Ansichten werden dekodiert"),
    ("Cutting out view {n} of {all}", "Ansicht {n} von {all} wird freigestellt"),
    (
        "The network made numbers that are no picture: its weights are damaged, or this device is too coarse. "
        "Try another seed; if it happens again, fetch the weights anew, or run it with TURNAROUND_PRECISION=float32.",
        "Das Netz machte Zahlen, die kein Bild sind: Seine Gewichte sind beschädigt, oder dieses Gerät ist zu "
        "ungenau. Versuche einen anderen Startwert; geschieht es wieder, lade die Gewichte neu oder lass es "
        "mit TURNAROUND_PRECISION=float32 laufen.",
    ),
    (
        "Zero123++ has six cameras of its own and shows those, whatever was asked: azimuths {azimuths} "
        "degrees, elevations {elevations} degrees in turn.",
        "Zero123++ hat sechs eigene Kameras und zeigt diese, was auch verlangt war: Azimut {azimuths} Grad, "
        "Höhe abwechselnd {elevations} Grad.",
    ),
    (
        "The network draws the object on grey: grey parts at its outline may have been cut off, and a flat "
        "grey part inside it may have been taken for a gap.",
        "Das Netz zeichnet das Objekt auf Grau: Graue Teile am Umriss können abgeschnitten sein, und ein "
        "flacher grauer Teil im Innern kann als Lücke gelten.",
    ),
    (
        "It draws every object at one size, so the longest side seen in the six views was taken for the "
        "photo's: all six are scaled by {zoom}.",
        "Es zeichnet jedes Objekt in einer Größe, die längste Seite in den sechs Ansichten galt deshalb als "
        "die des Fotos: Alle sechs sind um {zoom} umgerechnet.",
    ),
    (
        "It draws with a lens wider than others': {degrees} degrees, or 47, its authors say both.",
        "Es zeichnet mit einem weiteren Objektiv als andere: {degrees} Grad oder 47, die Autoren nennen beides.",
    ),
    ("Drawn at {drawn} px and resampled to {px}.", "Mit {drawn} px gezeichnet und auf {px} umgerechnet."),
    # --- Shap-E ---
    (
        "Makes a new 3D object after the photo: its views agree with one another, but less with the photo.",
        "Macht nach dem Foto ein neues 3D-Objekt: Seine Ansichten passen zueinander, aber weniger zum Foto.",
    ),
    ("MIT (weights and the authors' code)", "MIT (Gewichte und Code der Autoren)"),
    (
        "A GPU with 4 GB; a CPU with 6 GB of memory takes minutes.",
        "Eine GPU mit 4 GB; eine CPU mit 6 GB Speicher braucht Minuten.",
    ),
    (
        "Denoising steps: 64 as its authors do, 16 for a quick look",
        "Entrauschungsschritte: 64 wie bei den Autoren, 16 für einen schnellen Blick",
    ),
    (
        "How closely the object follows the photo; high values make it odd, 1 is quickest",
        "Wie genau das Objekt dem Foto folgt; hohe Werte machen es seltsam, 1 ist am schnellsten",
    ),
    ("Grid", "Gitter"),
    (
        "Points along each side when the mesh is made: more show finer detail",
        "Punkte je Seite, wenn das Netz entsteht: mehr zeigen feinere Einzelheiten",
    ),
    ("Thinking of an object", "Ein Objekt wird ausgedacht"),
    ("Thinking of an object: step {n} of {all}", "Ein Objekt wird ausgedacht: Schritt {n} von {all}"),
    ("Making its surface", "Die Oberfläche entsteht"),
    ("Turning it to match the photo", "Es wird passend zum Foto gedreht"),
    (
        "Shap-E makes a new object after the photo: shape, colours and above all writing differ from it.",
        "Shap-E macht nach dem Foto ein neues Objekt: Form, Farben und vor allem Schrift weichen ab.",
    ),
    (
        "{turned} to match the photo; the silhouettes agree to {share} ({sure} confidence).",
        "{turned}, passend zum Foto; die Silhouetten stimmen zu {share} überein (Sicherheit: {sure}).",
    ),
    ("Turned by {degrees} degrees", "Um {degrees} Grad gedreht"),
    ("Left as it was made", "Gelassen, wie es gemacht wurde"),
    ("high", "hoch"),
    ("fair", "mittel"),
    ("low", "niedrig"),
    (
        "The outlines differ so much that the direction is a guess.",
        "Die Umrisse weichen so stark ab, dass die Richtung geraten ist.",
    ),
    (
        "Its outline is alike from all sides, so which side is the front is a guess.",
        "Der Umriss ist von allen Seiten gleich, welche Seite vorn ist, ist also geraten.",
    ),
    (
        "Its outline is alike from all sides; its colours decided which side is the front.",
        "Der Umriss ist von allen Seiten gleich; welche Seite vorn ist, entschieden die Farben.",
    ),
    (
        "Turned {degrees} degrees from there it fits about as well, so {what}.",
        "Von dort um {degrees} Grad gedreht passt es etwa ebenso gut: {what}.",
    ),
    ("front and back may be swapped", "vorn und hinten sind vielleicht vertauscht"),
    ("it may face another way", "vielleicht schaut es in eine andere Richtung"),
    (
        "Another direction has as good an outline; the colours decided.",
        "Eine andere Richtung hat einen ebenso guten Umriss; die Farben entschieden.",
    ),
    (
        "{which} of {all} cannot hold the whole object, which is cut off there: move the cameras further away "
        "to see all of it; the 3D model has it.",
        "{which} von {all} fassen nicht das ganze Objekt, das dort abgeschnitten ist: Rücke die Kameras weiter "
        "weg, um es ganz zu sehen; im 3D-Modell ist es ganz.",
    ),
    ("One view", "Eine Ansicht"),
    ("{n} views", "{n} Ansichten"),
    (
        "Memory was short, so the object was made in smaller pieces: slower, but the same.",
        "Der Speicher war knapp, deshalb entstand das Objekt in kleineren Stücken: langsamer, aber gleich.",
    ),
    (
        "Shap-E's 3D shape came out damaged: it is not made of finite numbers. {again}",
        "Die 3D-Form von Shap-E kam beschädigt heraus: Sie besteht nicht aus endlichen Zahlen. {again}",
    ),
    (
        "Shap-E's 3D shape came out empty: there is nothing inside its box. {again}",
        "Die 3D-Form von Shap-E kam leer heraus: In ihrem Kasten ist nichts. {again}",
    ),
    (
        "Shap-E's 3D shape came out as a full box and not as an object. {again}",
        "Die 3D-Form von Shap-E kam als voller Kasten heraus und nicht als Objekt. {again}",
    ),
    (
        "This happens now and then: try another seed, more steps, or another photo.",
        "Das kommt vor: Versuche einen anderen Startwert, mehr Schritte oder ein anderes Foto.",
    ),
)
