"""Of weights and other models: fetching them, and why they cannot be fetched."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # --- On the way ---
    ("Fetching {what}: {done} of {all}", "Lädt {what}: {done} von {all}"),
    ("Fetching {what}: {done} of {all}{left}", "Lädt {what}: {done} von {all}{left}"),
    ("{part} of {all}", "{part} von {all}"),
    ("about {n} s left", "noch etwa {n} s"),
    ("about {n} minutes left", "noch etwa {n} Minuten"),
    ("{text}, by another run", "{text}, durch einen anderen Lauf"),
    ("{text}, {speed} MB/s{left}", "{text}, {speed} MB/s{left}"),
    ("Asking {host} about {what}", "Fragt {host} nach {what}"),
    ("{host} is busy; asking again about {what}", "{host} ist beschäftigt; fragt noch einmal nach {what}"),
    ("{what} in {n} s", "{what} in {n} s"),
    ("Checking {what}", "Prüft {what}"),
    ("Checking {what}, which is here already", "Prüft {what}, schon hier"),
    ("Checking what has come of {what}", "Prüft, was von {what} schon kam"),
    (
        "{what} from {repository} instead (licence: {licence})",
        "{what} stattdessen von {repository} (Lizenz: {licence})",
    ),
    (
        "{what}, whose pinned revision is gone, from today's {repository}",
        "{what}, dessen festgelegte Revision weg ist, vom heutigen {repository}",
    ),
    # --- Beside a result ---
    (
        "The weights of {what} are from a folder kept by hand, used as they stand.",
        "Die Gewichte von {what} stammen aus einem von Hand gepflegten Ordner, genommen, wie sie sind.",
    ),
    (
        "The weights of {what} are from {repository}; their licence: {licence}.",
        "Die Gewichte von {what} stammen von {repository}; ihre Lizenz: {licence}.",
    ),
    (
        "The weights of {what} are from a folder of this server's own, used as they stand.",
        "Die Gewichte von {what} stammen aus einem eigenen Ordner dieses Servers, genommen, wie sie sind.",
    ),
    ("{licence}, as its card says of {repository}", "{licence}, wie die Karte von {repository} sagt"),
    (
        "The weights of {what} are of another revision than its card names: {revision}.",
        "Die Gewichte von {what} sind von einer anderen Revision, als die Karte nennt: {revision}.",
    ),
    (
        "The weights of {what} are not here any more: someone removed them. Start the run again.",
        "Die Gewichte von {what} sind nicht mehr hier: Jemand hat sie entfernt. Starte den Lauf noch einmal.",
    ),
    # --- Not to be had ---
    (
        "{what} cannot be fetched: {why}. Let TURNAROUND_SOURCES name another place, or put the files into "
        "{folder} in the folder of TURNAROUND_WEIGHTS; other methods are not affected.",
        "{what} lässt sich nicht laden: {why}. Nenne mit TURNAROUND_SOURCES eine andere Stelle oder lege die "
        "Dateien in {folder} im Ordner von TURNAROUND_WEIGHTS; andere Verfahren betrifft das nicht.",
    ),
    (
        "{what} in the folder of TURNAROUND_WEIGHTS is not used: {why}.",
        "{what} im Ordner von TURNAROUND_WEIGHTS wird nicht genommen: {why}.",
    ),
    (
        "The folder that TURNAROUND_SOURCES names for {what} is not used: {why}.",
        "Der Ordner, den TURNAROUND_SOURCES für {what} nennt, wird nicht genommen: {why}.",
    ),
    (
        "{what} cannot be used. {why} Put that folder in order, or let TURNAROUND_SOURCES name another place; other "
        "methods are not affected.",
        "{what} lässt sich nicht benutzen. {why} Bring den Ordner in Ordnung oder nenne mit TURNAROUND_SOURCES eine "
        "andere Stelle; andere Verfahren betrifft das nicht.",
    ),
    (
        "{what} is not on this machine ({missing} missing), and HF_HUB_OFFLINE forbids fetching it. Unset it "
        "while there is a network, or put the files into the folder of TURNAROUND_WEIGHTS; methods whose "
        "weights are here work on.{more}",
        "{what} ist nicht auf diesem Rechner (es fehlen {missing}), und HF_HUB_OFFLINE verbietet, es zu laden. "
        "Nimm das zurück, solange ein Netz da ist, oder lege die Dateien in den Ordner von TURNAROUND_WEIGHTS; "
        "Verfahren, deren Gewichte hier sind, laufen weiter.{more}",
    ),
    (
        "{what} is not here, and HF_HUB_OFFLINE forbids fetching it. Unset it to fetch.",
        "{what} ist nicht hier, und HF_HUB_OFFLINE verbietet, es zu laden. Nimm das zurück, um es zu laden.",
    ),
    ("{file} is missing or cannot be read", "{file} fehlt oder ist nicht lesbar"),
    ("{file} is cut short ({size})", "{file} ist abgeschnitten ({size})"),
    ("today's {repository} ({why})", "das heutige {repository} ({why})"),
    (
        "the repository was removed, renamed or made private",
        "das Repository wurde entfernt, umbenannt oder ist nicht mehr öffentlich",
    ),
    ("the repository has been disabled", "das Repository wurde gesperrt"),
    ("the revision is gone", "die Revision ist weg"),
    ("it has no {file}", "es hat kein {file}"),
    ("a file is missing there", "dort fehlt eine Datei"),
    ("what it lists is not there (HTTP {status})", "was es aufführt, ist nicht da (HTTP {status})"),
    ("that is no name of a repository; check TURNAROUND_SOURCES", "so heißt kein Repository; prüfe TURNAROUND_SOURCES"),
    ("it answers with another revision than was asked for", "es antwortet mit einer anderen Revision als verlangt"),
    ("its {file} is not the published one", "{file} ist dort nicht das veröffentlichte"),
    (
        "neither the card nor {host} has a checksum for its {file}",
        "weder die Karte noch {host} hat eine Prüfsumme für {file}",
    ),
    (
        "{what} has a licence that must be accepted once, at {page}. Log in with `hf auth login`, accept it "
        "there with the same account, and try again.",
        "{what} hat eine Lizenz, die einmal angenommen werden muss, auf {page}. Melde dich mit `hf auth login` "
        "an, nimm sie dort mit demselben Konto an und versuche es noch einmal.",
    ),
    ("{why} (The licence: {licence}.)", "{why} (Die Lizenz: {licence}.)"),
    (
        "{words} If you have the right to use it, TURNAROUND_SOURCES={gated}={copy} picks an ungated copy (its "
        "licence: {licence}).",
        "{words} Wenn du das Recht hast, es zu benutzen, nimmt TURNAROUND_SOURCES={gated}={copy} eine Kopie ohne "
        "diese Schranke (ihre Lizenz: {licence}).",
    ),
    (
        "{host} does not accept this machine's token, so it did not send {what} (HTTP 401). Log in anew with "
        "`hf auth login`, or remove HF_TOKEN, and try again.",
        "{host} nimmt das Token dieses Rechners nicht an und schickte {what} nicht (HTTP 401). Melde dich mit "
        "`hf auth login` neu an oder entferne HF_TOKEN und versuche es noch einmal.",
    ),
    (
        "{host}, or a proxy on the way, refused to send {what} (HTTP {status}). Look whether {page} opens in a "
        "browser on this network, and whether the token may read it.",
        "{host} oder ein Proxy auf dem Weg weigerte sich, {what} zu schicken (HTTP {status}). Sieh nach, ob "
        "sich {page} in diesem Netz im Browser öffnen lässt und ob das Token es lesen darf.",
    ),
    (
        "{host} has had too many requests from here and did not send {what} (HTTP 429). Try again {when}; "
        "logged in (`hf auth login`), more requests are allowed.",
        "{host} bekam von hier zu viele Anfragen und schickte {what} nicht (HTTP 429). Versuche es noch "
        "einmal, {when}; angemeldet (`hf auth login`) sind mehr Anfragen erlaubt.",
    ),
    ("in some minutes", "in einigen Minuten"),
    ("in {time}, as it asks", "in {time}, wie verlangt"),
    ("{n} seconds", "{n} Sekunden"),
    ("{n} minutes", "{n} Minuten"),
    ("{n} hours", "{n} Stunden"),
    (
        "{host} is in trouble itself and could not send {what} (HTTP {status}), though it was asked several "
        "times. Try again later.",
        "{host} hat selbst Schwierigkeiten und konnte {what} nicht schicken (HTTP {status}), obwohl mehrmals "
        "gefragt wurde. Versuche es später noch einmal.",
    ),
    (
        "{host} did not send {what}: it answered HTTP {status}. Try again later.",
        "{host} schickte {what} nicht: Die Antwort war HTTP {status}. Versuche es später noch einmal.",
    ),
    (
        "Something between here and {host} answered in its place when {what} was asked for: a login page of "
        "the network, or a proxy. Open a web page to see, or set HTTPS_PROXY, and try again.",
        "Etwas zwischen hier und {host} antwortete an dessen Stelle, als nach {what} gefragt wurde: eine "
        "Anmeldeseite des Netzes oder ein Proxy. Öffne zum Prüfen eine Webseite oder setze HTTPS_PROXY und "
        "versuche es noch einmal.",
    ),
    ("the Hub", "der Hub"),
    ("the server", "der Server"),
    ("{what} could not be asked for: {why}.", "Nach {what} ließ sich nicht fragen: {why}."),
    ("{why} Check the network and try again.", "{why} Prüfe das Netz und versuche es noch einmal."),
    ("nothing came from {host} for {n} seconds", "von {host} kam {n} Sekunden lang nichts"),
    (
        "{what} stopped arriving: {why}. What has arrived is kept.",
        "{what} blieb unterwegs stehen: {why}. Was ankam, bleibt.",
    ),
    (
        "{what} could not be fetched: {host} cannot be reached from here. Check the network, the proxy "
        "(HTTPS_PROXY) or HF_ENDPOINT, and try again.",
        "{what} ließ sich nicht laden: {host} ist von hier nicht zu erreichen. Prüfe das Netz, den Proxy "
        "(HTTPS_PROXY) oder HF_ENDPOINT und versuche es noch einmal.",
    ),
    (
        "{what} could not be fetched: {host}'s certificate could not be verified ({why}). Behind a company's proxy, "
        "let SSL_CERT_FILE name a file with its certificates; elsewhere, check this machine's clock and the network, "
        "and try again.",
        "{what} ließ sich nicht laden: Das Zertifikat von {host} ließ sich nicht prüfen ({why}). Nenne hinter dem "
        "Proxy einer Firma mit SSL_CERT_FILE eine Datei mit deren Zertifikaten; prüfe sonst die Uhr dieses Rechners "
        "und das Netz und versuche es noch einmal.",
    ),
    (
        "{what} broke off on its way from {host}, again and again. {kept} later.",
        "{what} brach auf dem Weg von {host} immer wieder ab. {kept} es später noch einmal.",
    ),
    ("What has arrived is kept; try", "Was ankam, bleibt; versuche"),
    ("Try", "Versuche"),
    (
        "{what} could not be asked for: {why}. Check that the Hub's token and settings (HF_TOKEN_PATH, "
        "HF_HOME) can be read, and try again.",
        "Nach {what} ließ sich nicht fragen: {why}. Prüfe, ob Token und Einstellungen des Hubs (HF_TOKEN_PATH, "
        "HF_HOME) lesbar sind, und versuche es noch einmal.",
    ),
    ("the system refused", "das System weigerte sich"),
    (
        "{what} could not be stored in the Hub's cache (HF_HUB_CACHE)",
        "{what} ließ sich nicht im Cache des Hubs (HF_HUB_CACHE) ablegen",
    ),
    (
        "The disk has no room for {what}: {needed} are to come, and {free} are free. Free some space, or let "
        "HF_HUB_CACHE name a folder on a larger disk, and try again.",
        "Die Platte hat keinen Platz für {what}: Es kommen {needed}, und {free} sind frei. Mach Platz oder "
        "nenne mit HF_HUB_CACHE einen Ordner auf einer größeren Platte und versuche es noch einmal.",
    ),
    (
        "The disk has no room for {what}: {needed} are to come, and {free} are free, of which {kept} are to "
        "stay free. Free some space, or let HF_HUB_CACHE name a folder on a larger disk, and try again.",
        "Die Platte hat keinen Platz für {what}: Es kommen {needed}, und {free} sind frei, von denen {kept} "
        "frei bleiben sollen. Mach Platz oder nenne mit HF_HUB_CACHE einen Ordner auf einer größeren Platte "
        "und versuche es noch einmal.",
    ),
    (
        "What arrives as a part of {what} is not what was published (its checksum or size differs), twice in a "
        "row, so it was thrown away. Something between here and {host} changes it, or the place it is fetched "
        "from is at fault. Try again later, or from another network.",
        "Was als Teil von {what} ankommt, ist nicht das Veröffentlichte (Prüfsumme oder Größe stimmt nicht), "
        "zweimal nacheinander, und wurde weggeworfen. Etwas zwischen hier und {host} verändert es, oder an der "
        "Quelle stimmt etwas nicht. Versuche es später noch einmal oder aus einem anderen Netz.",
    ),
    # --- The removers' models ---
    (
        "What arrived is not {what} as it was published (its checksum differs), so it was thrown away. Try "
        "once more; if it happens again, the place it is fetched from is at fault. {instead}",
        "Was ankam, ist nicht {what}, wie es veröffentlicht wurde (die Prüfsumme stimmt nicht), und wurde "
        "weggeworfen. Versuche es noch einmal; geschieht es wieder, stimmt an der Quelle etwas nicht. {instead}",
    ),
    (
        "{what} could not be fetched: its address is not a valid one. Check TURNAROUND_REMBG_URL. {instead}",
        "{what} ließ sich nicht laden: Die Adresse ist ungültig. Prüfe TURNAROUND_REMBG_URL. {instead}",
    ),
    (
        "The disk has no room for {what} ({size}). Free some space and try again.",
        "Die Platte hat keinen Platz für {what} ({size}). Mach Platz und versuche es noch einmal.",
    ),
    ("{what} could not be stored: {why}.", "{what} ließ sich nicht ablegen: {why}."),
    ("the data folder cannot be written", "in den Datenordner lässt sich nicht schreiben"),
    ("{text} Check the data folder (TURNAROUND_DATA).", "{text} Prüfe den Datenordner (TURNAROUND_DATA)."),
    (
        "{what} is not at {host} any more (HTTP {status}). Check TURNAROUND_REMBG_URL.",
        "{what} ist nicht mehr auf {host} (HTTP {status}). Prüfe TURNAROUND_REMBG_URL.",
    ),
    (
        "{host} refused to send {what} (HTTP {status}). Check the network's proxy and TURNAROUND_REMBG_URL.",
        "{host} weigerte sich, {what} zu schicken (HTTP {status}). Prüfe den Proxy des Netzes und "
        "TURNAROUND_REMBG_URL.",
    ),
    (
        "{host} has had too many requests and did not send {what} (HTTP 429). Try again in some minutes.",
        "{host} bekam zu viele Anfragen und schickte {what} nicht (HTTP 429). Versuche es in einigen Minuten "
        "noch einmal.",
    ),
    (
        "{host} could not send {what} (HTTP {status}): it is in trouble itself. Try again later.",
        "{host} konnte {what} nicht schicken (HTTP {status}) und hat selbst Schwierigkeiten. Versuche es "
        "später noch einmal.",
    ),
    (
        "{what} could not be fetched: {host} cannot be reached from here. Check the network or the proxy.",
        "{what} ließ sich nicht laden: {host} ist von hier nicht zu erreichen. Prüfe das Netz oder den Proxy.",
    ),
    (
        "{what} stopped arriving: nothing came from {host} for {n} seconds. Try again.",
        "{what} blieb unterwegs stehen: Von {host} kam {n} Sekunden lang nichts. Versuche es noch einmal.",
    ),
    (
        "{what} could not be fetched: its address must begin with https://. Check TURNAROUND_REMBG_URL.",
        "{what} ließ sich nicht laden: Die Adresse muss mit https:// beginnen. Prüfe TURNAROUND_REMBG_URL.",
    ),
    (
        "{what} broke off on its way from {host}. Try again.",
        "{what} brach auf dem Weg von {host} ab. Versuche es noch einmal.",
    ),
)
