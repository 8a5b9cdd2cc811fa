"""Of the machine that works: memory, GPUs, clusters, and models that cannot be loaded."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- Whether it can run here ---
    (
        "It needs {packages}, not installed here: run `{command}`, then start again.",
        "Es braucht {packages}, hier nicht installiert: Führe `{command}` aus, dann starte neu.",
    ),
    (
        "It needs {needed} GB of memory, and this machine has {there} GB{gpu}. Run it on a larger machine.",
        "Es braucht {needed} GB Speicher, und dieser Rechner hat {there} GB{gpu}. Lass es auf einem größeren laufen.",
    ),
    ("and no GPU", "und keine GPU"),
    ("its GPU is not used, because {why}", "seine GPU wird nicht benutzt: {why}"),
    ("torch is built without it", "torch ist ohne sie gebaut"),
    (
        "the setting TURNAROUND_DEVICE or CUDA_VISIBLE_DEVICES keeps it out",
        "die Einstellung TURNAROUND_DEVICE oder CUDA_VISIBLE_DEVICES hält sie heraus",
    ),
    (
        "The setting TURNAROUND_DEVICE asks for {device}, and no such GPU is found here. Correct it, or the "
        "GPU's driver, and start again.",
        "Die Einstellung TURNAROUND_DEVICE verlangt {device}, und so eine GPU ist hier nicht zu finden. "
        "Berichtige sie oder den Treiber der GPU und starte neu.",
    ),
    (
        "The setting TURNAROUND_DEVICE asks for {device}, but torch finds {found} on this machine. Whoever "
        "runs this server should correct the setting, or the GPU's driver, and start it again.",
        "Die Einstellung TURNAROUND_DEVICE verlangt {device}, aber torch findet auf diesem Rechner {found}. "
        "Der Betreiber dieses Servers sollte die Einstellung oder den Treiber der GPU berichtigen und ihn neu "
        "starten.",
    ),
    (
        "This machine has a GPU that torch cannot use: torch is built for CUDA {version}, and the driver {driver} may "
        "be too old for that. Whoever runs this server should update the driver, install a torch for an older CUDA, or "
        "set TURNAROUND_DEVICE=cpu to work slowly on the processor, and start it again.",
        "Dieser Rechner hat eine GPU, die torch nicht benutzen kann: torch ist für CUDA {version} gebaut, und der "
        "Treiber {driver} ist dafür vielleicht zu alt. Der Betreiber dieses Servers sollte den Treiber erneuern, ein "
        "torch für ein älteres CUDA installieren oder mit TURNAROUND_DEVICE=cpu langsam auf dem Prozessor arbeiten "
        "lassen, und neu starten.",
    ),
    ("there is", "von hier"),
    (
        "This machine's GPU, {name}, is older than those that the installed torch was built for. Whoever runs this "
        "server should install a torch for an older CUDA, or set TURNAROUND_DEVICE=cpu to work slowly on the "
        "processor, and start it again.",
        "Die GPU dieses Rechners, {name}, ist älter als die, für die das installierte torch gebaut wurde. Der "
        "Betreiber dieses Servers sollte ein torch für ein älteres CUDA installieren oder mit TURNAROUND_DEVICE=cpu "
        "langsam auf dem Prozessor arbeiten lassen, und neu starten.",
    ),
    ("no Apple GPU", "keine Apple-GPU"),
    ("no NVIDIA GPU", "keine NVIDIA-GPU"),
    ("only cuda:0", "nur cuda:0"),
    ("only cuda:0 to cuda:{last}", "nur cuda:0 bis cuda:{last}"),
    (
        "It needs {needed} GB of GPU memory, or half of that and {host} GB of the machine's, and this machine "
        "has {gpu} GB and {there} GB. {instead}.",
        "Es braucht {needed} GB GPU-Speicher oder die Hälfte davon und {host} GB des Rechners, und dieser "
        "Rechner hat {gpu} GB und {there} GB. {instead}.",
    ),
    ("Run it on a larger machine", "Lass es auf einem größeren Rechner laufen"),
    (
        "Set TURNAROUND_DEVICE=cpu to run it, slowly, on the processor",
        "Setze TURNAROUND_DEVICE=cpu, damit es langsam auf dem Prozessor läuft",
    ),
    # --- Memory ---
    (
        "There is not enough memory {doing}{why}. Ask for fewer or smaller views, close other programs that "
        "use much memory, or run it on a larger machine.",
        "Der Speicher reicht nicht, {doing}{why}. Verlange weniger oder kleinere Ansichten, schließe andere "
        "Programme, die viel Speicher brauchen, oder lass es auf einem größeren Rechner laufen.",
    ),
    (
        "There is not enough memory {doing}{why}. Ask for fewer or smaller views, close other programs that "
        "use the GPU, or run it on a larger machine.",
        "Der Speicher reicht nicht, {doing}{why}. Verlange weniger oder kleinere Ansichten, schließe andere "
        "Programme, die die GPU benutzen, oder lass es auf einem größeren Rechner laufen.",
    ),
    ("for this, even with everything done in the smallest steps", "auch nicht in den kleinsten Schritten"),
    ("to load this model, which takes about {size}", "um dieses Modell zu laden: Es braucht etwa {size}"),
    ("{size}, and {more} to work in", "{size} und {more} zum Arbeiten"),
    ("{size} more were needed at one point", "an einer Stelle fehlten {size}"),
    ("{where} has {all}, of which {free} are free now", "{where} hat {all}, davon sind jetzt {free} frei"),
    ("{where} has {all}", "{where} hat {all}"),
    ("the GPU", "die GPU"),
    ("one", "eine"),
    ("this machine", "dieser Rechner"),
    (
        "Memory was short, so views were made {n} at a time: slower, but the same.",
        "Der Speicher war knapp, deshalb entstanden weniger Ansichten auf einmal ({n}): langsamer, aber gleich.",
    ),
    (
        "Memory was short, so views were decoded {n} at a time: slower, but the same.",
        "Der Speicher war knapp, deshalb wurden weniger Ansichten auf einmal dekodiert ({n}): langsamer, aber gleich.",
    ),
    (
        "Memory was short, so views were decoded in tiles, whose seams may show faintly.",
        "Der Speicher war knapp, deshalb wurden Ansichten stückweise dekodiert; schwache Nähte können zu sehen sein.",
    ),
    (
        "Memory was short, so the model's parts took turns on the GPU: slower, but the same.",
        "Der Speicher war knapp, deshalb wechselten sich die Teile des Modells auf der GPU ab: langsamer, aber gleich.",
    ),
    # --- Loading a model ---
    (
        "The model cannot be loaded: its file {folder}/{file} {what}. It is damaged, missing or of another "
        "model: whoever runs this server should remove it, so that the next run fetches it again, or choose "
        "other weights.",
        "Das Modell lässt sich nicht laden: Seine Datei {folder}/{file} {what}. Sie ist beschädigt, fehlt oder "
        "gehört zu einem anderen Modell: Der Betreiber dieses Servers sollte sie entfernen, damit der nächste "
        "Lauf sie neu lädt, oder andere Gewichte wählen.",
    ),
    ("cannot be read", "ist nicht lesbar"),
    ("or one beside it cannot be read", "oder eine daneben ist nicht lesbar"),
    ("does not describe a model", "beschreibt kein Modell"),
    (
        "has the tensor {name} in the size {there} where {needed} is needed",
        "hat den Tensor {name} in der Größe {there} statt {needed}",
    ),
    ("lacks the tensor {name}{more}", "ist ohne den Tensor {name}{more}"),
    (
        "lacks the tensor {name}{more}, or has it in another size",
        "ist ohne den Tensor {name}{more} oder hat ihn in anderer Größe",
    ),
    ("lacks the tensor {name}", "ist ohne den Tensor {name}"),
    ("lacks tensors that SV3D has: {names}{more}", "ist ohne Tensoren, die SV3D hat: {names}{more}"),
    ("and {n} more", "und {n} weitere"),
    ("of one number", "mit einer Zahl"),
    ("holds tensors that are not SV3D's", "enthält Tensoren, die nicht zu SV3D gehören"),
    ("holds tensors that SV3D does not have: {names}{more}", "enthält Tensoren, die SV3D nicht hat: {names}{more}"),
    (
        "has the tensor {name} in a size that is not SV3D's, {size}",
        "hat den Tensor {name} in einer Größe, die nicht die von SV3D ist, {size}",
    ),
    ("The model could not be kept in half precision", "Das Modell ließ sich nicht in halber Genauigkeit aufheben"),
    ("the disk has no room for {size} GB more.", "die Platte hat keinen Platz für {size} GB mehr."),
    ("lacks the {what} ramping coefficients", "ist ohne die {what} Übergangswerte"),
    ("does not say how large and how bright a picture must be", "sagt nicht, wie groß und wie hell ein Bild sein muss"),
    (
        "{repository} is not an inpainter: its UNet takes {channels} channels, and inpainting needs {needed}. "
        "Choose other weights.",
        "{repository} kann nicht ausmalen: Sein UNet nimmt {channels} Kanäle, und dafür braucht es {needed}. "
        "Wähle andere Gewichte.",
    ),
    (
        "{repository} is not a Zero-1-to-3: its UNet must take 8 channels and tokens of {n} numbers. Choose "
        "other weights.",
        "{repository} ist kein Zero-1-to-3: Sein UNet muss 8 Kanäle und Tokens aus {n} Zahlen nehmen. Wähle "
        "andere Gewichte.",
    ),
    (
        "Shap-E's renderer lacks {what}: it is the old one of the folder renderer/, which makes no meshes. {again}",
        "Dem Renderer von Shap-E fehlt {what}: Es ist der alte aus dem Ordner renderer/, der keine Netze "
        "macht. {again}",
    ),
    (
        "Shap-E's renderer is a damaged download: its mesh tables are all zeros. {again}",
        "Der Renderer von Shap-E kam beschädigt an: Seine Tabellen für Netze sind lauter Nullen. {again}",
    ),
    (
        "Fetch its weights again: python -m pipelines fetch shap_e.",
        "Lade seine Gewichte neu: python -m pipelines fetch shap_e.",
    ),
    # --- A GPU that is lent ---
    ("its GPU time was over", "seine GPU-Zeit war um"),
    ("the GPU was taken away", "die GPU wurde weggenommen"),
    ("Ask for fewer or smaller views", "Verlange weniger oder kleinere Ansichten"),
    (
        "Your other runs here hold all the GPU time you have left. Wait until one of them has ended, or cancel "
        "one, and try again.",
        "Deine anderen Läufe hier halten alle GPU-Zeit, die du noch hast. Warte, bis einer zu Ende ist, oder "
        "brich einen ab und versuche es noch einmal.",
    ),
    (
        "{method} would need up to {time} of GPU time for this, more than one run may have here. {smaller}.",
        "{method} bräuchte dafür bis zu {time} GPU-Zeit, mehr, als ein Lauf hier haben darf. {smaller}.",
    ),
    (
        "No GPU became free within a minute: many people want one now. Try again in a few minutes.",
        "Innerhalb einer Minute wurde keine GPU frei: Viele wollen gerade eine. Versuche es in ein paar "
        "Minuten noch einmal.",
    ),
    (
        "The page has been open so long that its pass for a GPU has expired. Reload the page and try again.",
        "Die Seite ist schon so lange offen, dass ihre Berechtigung für eine GPU abgelaufen ist. Lade die "
        "Seite neu und versuche es noch einmal.",
    ),
    (
        "No GPU is free at the moment. Try again in a few minutes.",
        "Gerade ist keine GPU frei. Versuche es in ein paar Minuten noch einmal.",
    ),
    (
        "{method} was {share} done when its GPU time was over: it had asked for {time} and needed more. "
        "Nothing of it was kept. {smaller}, or try again: it asks for more the next time.",
        "{method} war zu {share} fertig, als seine GPU-Zeit um war: Verlangt waren {time}, und es brauchte "
        "mehr. Nichts davon blieb. {smaller}, oder versuche es noch einmal: Das nächste Mal wird mehr verlangt.",
    ),
    (
        "The GPU was taken away when {method} was {share} done. It is not the photo's fault, and nothing was "
        "kept. Try again.",
        "Die GPU wurde weggenommen, als {method} zu {share} fertig war. Am Foto liegt es nicht, und nichts "
        "blieb. Versuche es noch einmal.",
    ),
    (
        "The service that lends GPUs did not answer as it should. Try again in a minute.",
        "Der Dienst, der GPUs verleiht, antwortete nicht, wie er sollte. Versuche es in einer Minute noch einmal.",
    ),
    (
        "It needs up to {time} of GPU time, and of your quota {left} are left.",
        "Es braucht bis zu {time} GPU-Zeit, und von deinem Kontingent sind {left} übrig.",
    ),
    ("1 second", "1 Sekunde"),
    ("You have had as many GPU runs as you may for now.", "Du hattest fürs Erste so viele GPU-Läufe, wie du darfst."),
    (
        "The GPU time for visitors who are not logged in is used up for now. Log in to Hugging Face and open "
        "this page there, or try again in a few hours.",
        "Die GPU-Zeit für Leute, die nicht angemeldet sind, ist fürs Erste verbraucht. Melde dich bei Hugging "
        "Face an und öffne diese Seite dort, oder versuche es in ein paar Stunden noch einmal.",
    ),
    (
        "{what} {smaller}, log in to Hugging Face for a larger quota, or try again {when}.",
        "{what} {smaller}, melde dich für ein größeres Kontingent bei Hugging Face an oder versuche es noch "
        "einmal, {when}.",
    ),
    ("in {time}", "in {time}"),
    ("later", "später"),
    # --- A cluster ---
    (
        "What worked on it died. It starts once more, elsewhere",
        "Der Rechner, der daran arbeitete, fiel aus. Es beginnt noch einmal, anderswo",
    ),
    (
        "{method} was tried twice, and both times what worked on it died ({why}). Ask for fewer or smaller "
        "views; if that does not help, tell whoever runs this cluster.",
        "{method} wurde zweimal versucht, und beide Male fiel aus, was daran arbeitete ({why}). Verlange "
        "weniger oder kleinere Ansichten; hilft das nicht, sag es dem Betreiber dieses Clusters.",
    ),
    (
        "{what} {where} ({why}). Try again in a few minutes, or tell whoever runs this page.",
        "{what} {where} ({why}). Versuche es in ein paar Minuten noch einmal oder sag es dem Betreiber dieser Seite.",
    ),
    ("A Ray cluster", "Ein Ray-Cluster"),
    ("The Ray cluster {address}", "Der Ray-Cluster {address}"),
    ("could not be started", "ließ sich nicht starten"),
    ("cannot be reached", "ist nicht zu erreichen"),
    ("it does not answer", "keine Antwort"),
    ("it ended without a result", "er endete ohne Ergebnis"),
    ("the connection to the cluster broke", "die Verbindung zum Cluster brach ab"),
)
