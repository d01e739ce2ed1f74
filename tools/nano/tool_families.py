"""The function families of the tool-call data: names, arguments, how people ask, what comes back.

Called by gen_tools.py only. Each family is a dict:
  names, about   variants of the function's name and description
  args           (variants of the argument's name, JSON type, description, value maker); value makers take random.Random
  asks           how a user asks, with {0} {1} ... for the arguments' values; a family without arguments has plain texts
  result, reply  the tool's answer as a dict of makers, and the assistant's sentence: {0} {1} arguments, {name} result fields
Standard library only.
"""
import words as w


def _one_of(*choices):
    return lambda rng: rng.choice(choices)


def _int(low, high):
    return lambda rng: rng.randint(low, high)


def _message(rng):
    return rng.choice(("I will be late", "see you at " + w.clock(rng), "the " + rng.choice(w.THINGS) + " is ready", "call me back", "happy birthday",
                       "thank you for the " + rng.choice(w.THINGS), "the meeting is on " + rng.choice(w.DAYS), "dinner is at " + w.clock(rng),
                       "I am at the " + rng.choice(w.PLACES), "bring the " + w.item(rng), "do not forget the " + rng.choice(w.FOODS)))


def _task(rng):
    return rng.choice(("buy ", "order ", "get ", "pack ")) + rng.choice(w.FOODS + w.THINGS) if rng.random() < 0.5 else rng.choice(
        ("call ", "visit ", "write to ", "meet ")) + rng.choice(w.FIRST)


def _song(rng):
    return rng.choice(w.ADJECTIVES + w.COLORS).capitalize() + " " + rng.choice(w.PLACES + w.ANIMALS + w.MONTHS).capitalize()


def _file(rng):
    return rng.choice(("notes", "report", "plan", "list", "data", "draft", "log", "todo", w.madeup(rng, False))) + rng.choice(
        ("", "_" + str(rng.randint(1, 99)))) + rng.choice((".txt", ".md", ".csv", ".json"))


def _word(rng):
    return rng.choice(w.THINGS + w.ANIMALS + w.FOODS + [w.madeup(rng, False)])


_ROOM = _one_of("kitchen", "bedroom", "bathroom", "hall", "office", "garage", "cellar", "garden", "attic", "living room")
_S, _N, _I = "string", "number", "integer"


def _family(names, about, args, asks, result, reply):
    return {"names": names.split(), "about": about, "args": args, "asks": asks, "result": result, "reply": reply}


_CITY = (["city", "location", "place", "town"], _S, "Name of the city", w.city)
FAMILIES = [
    _family("get_weather weather_lookup current_weather fetch_weather weather get_current_weather", ["Get the current weather in a city", "Look up the weather"], [_CITY],
            ["What is the weather in {0}?", "How is the weather in {0} right now?", "weather in {0}", "Is it raining in {0}?", "Tell me the weather for {0}.", "Do I need a coat in {0} today?"],
            {"temperature": _int(-9, 35), "condition": _one_of("sunny", "cloudy", "rainy", "windy", "foggy", "clear")}, "In {0} it is {temperature} degrees and {condition}."),
    _family("get_forecast weather_forecast forecast daily_forecast", ["Weather forecast for a city and a day", "Get the forecast"], [_CITY, (["day", "date", "weekday"], _S, "Day of the forecast", lambda r: r.choice(w.DAYS))],
            ["What will the weather be in {0} on {1}?", "Forecast for {0} on {1}, please.", "Will it rain in {0} on {1}?", "How warm will it be in {0} on {1}?"],
            {"high": _int(0, 35), "condition": _one_of("sun", "clouds", "rain", "wind", "fog")}, "On {1} expect {condition} in {0} and up to {high} degrees."),
    _family("get_time current_time time_in local_time clock", ["Get the local time in a city", "Current time of a place"], [_CITY],
            ["What time is it in {0}?", "Tell me the time in {0}.", "time in {0}?", "How late is it in {0}?"], {"time": w.clock}, "It is {time} in {0}."),
    _family("set_alarm create_alarm alarm add_alarm", ["Set an alarm", "Create an alarm at a time"], [(["time", "at", "when"], _S, "Time as HH:MM", w.clock)],
            ["Wake me at {0}.", "Set an alarm for {0}.", "Please set my alarm to {0}.", "I need an alarm at {0}."], {"status": _one_of("ok")}, "Your alarm is set for {0}."),
    _family("set_timer start_timer timer countdown", ["Start a timer", "Count down some minutes"], [(["minutes", "duration", "mins"], _I, "Length in minutes", _int(1, 90))],
            ["Set a timer for {0} minutes.", "Start a {0} minute timer.", "Count down {0} minutes.", "timer {0} minutes please"], {"status": _one_of("started")}, "The timer runs for {0} minutes."),
    _family("send_message send_text message text_message", ["Send a text message", "Send a message to a person"], [(["to", "recipient", "contact", "name"], _S, "Who gets it", w.person), (["text", "message", "body", "content"], _S, "What to say", _message)],
            ["Send {0} a message: {1}", "Text {0}: {1}", "Tell {0} this: {1}", "Message {0} with the text {1}", "Please write to {0}: {1}"], {"status": _one_of("sent", "delivered")}, "Your message to {0} was {status}."),
    _family("send_email email_send compose_email email", ["Send an email", "Write and send an email"], [(["to", "address", "recipient"], _S, "Email address", w.email), (["subject", "title"], _S, "Subject line", _message)],
            ["Send an email to {0} with the subject {1}", "Email {0} about: {1}", "Write an email to {0}, subject {1}"], {"status": _one_of("sent", "queued")}, "The email to {0} is {status}."),
    _family("translate translate_text translation translator", ["Translate a word or text", "Translate text into a language"], [(["text", "word", "source_text"], _S, "Text to translate", _word), (["language", "target", "to", "target_language"], _S, "Target language", lambda r: r.choice(w.LANGUAGES))],
            ["Translate {0} into {1}.", "What is {0} in {1}?", "How do I say {0} in {1}?", "Please translate \"{0}\" to {1}."], {"translation": lambda r: w.madeup(r, False)}, "In {1}, {0} is {translation}."),
    _family("play_music play_song play music_player start_song", ["Play a song", "Play music by title"], [(["title", "song", "track", "name"], _S, "Title of the song", _song)],
            ["Play {0}.", "Can you play the song {0}?", "I want to hear {0}.", "Put on {0}, please."], {"status": _one_of("playing")}, "Now playing {0}."),
    _family("set_light switch_light light_control lights", ["Switch a light on or off", "Control the light of a room"], [(["room", "location", "area"], _S, "Which room", _ROOM), (["state", "action", "mode"], _S, "on or off", _one_of("on", "off"))],
            ["Turn the light in the {0} {1}.", "Switch the {0} light {1}.", "{0} light {1}", "Please turn {1} the light in the {0}."], {"status": _one_of("ok")}, "The light in the {0} is {1}."),
    _family("set_temperature set_thermostat thermostat heat", ["Set the temperature of a room", "Control the heating"], [(["room", "zone"], _S, "Which room", _ROOM), (["degrees", "temperature", "celsius"], _I, "Degrees Celsius", _int(15, 26))],
            ["Set the {0} to {1} degrees.", "Heat the {0} to {1} degrees.", "Make it {1} degrees in the {0}.", "I want {1} degrees in the {0}."], {"status": _one_of("ok")}, "The {0} is set to {1} degrees."),
    _family("convert_currency currency exchange convert_money", ["Convert money between currencies", "Currency conversion"], [(["amount", "value", "sum"], _N, "How much", _int(1, 999)), (["from", "source", "from_currency"], _S, "Currency to convert from", lambda r: r.choice(w.CURRENCIES[:8])), (["to", "target", "to_currency"], _S, "Currency to convert to", lambda r: r.choice(w.CURRENCIES[8:]))],
            ["Convert {0} {1} to {2}.", "How much is {0} {1} in {2}?", "Change {0} {1} into {2}.", "What are {0} {1} worth in {2}?"], {"result": _int(10, 9999)}, "{0} {1} are {result} {2}."),
    _family("get_stock_price stock_price stock share_price quote", ["Price of a share", "Get the stock price of a symbol"], [(["symbol", "ticker", "stock"], _S, "Ticker symbol", lambda r: "".join(r.choice("ABCDEFGHIKLMNOPRSTUVW") for _ in range(r.choice((3, 4)))))],
            ["What is the price of {0}?", "How is {0} doing on the stock market?", "Stock price of {0}, please.", "Price of {0} shares?"], {"price": _int(5, 900)}, "{0} is at {price}."),
    _family("get_route route directions find_route navigate", ["Find the way between two places", "Directions from one city to another"], [(["from", "start", "origin"], _S, "Where to start", w.city), (["to", "end", "destination"], _S, "Where to go", w.city)],
            ["How do I get from {0} to {1}?", "Find a route from {0} to {1}.", "Directions from {0} to {1}, please.", "What is the way from {0} to {1}?"], {"distance_km": _int(5, 2000), "hours": _int(1, 30)}, "From {0} to {1} it is {distance_km} km and takes about {hours} hours."),
    _family("add_reminder set_reminder remind create_reminder", ["Remind the user of something", "Create a reminder"], [(["text", "task", "what", "title"], _S, "What to remember", _task), (["time", "when", "at"], _S, "When", w.clock)],
            ["Remind me to {0} at {1}.", "At {1}, remind me to {0}.", "Set a reminder to {0} at {1}.", "Please remind me at {1} to {0}."], {"status": _one_of("saved")}, "I will remind you to {0} at {1}."),
    _family("add_note save_note note write_note take_note", ["Save a note", "Write down a note"], [(["text", "note", "content"], _S, "Text of the note", _message)],
            ["Note this: {0}", "Save a note: {0}", "Write down: {0}", "Take a note that says {0}"], {"id": _int(1, 999)}, "Your note is saved with the number {id}."),
    _family("create_event add_event calendar_add schedule new_event", ["Add an event to the calendar", "Create a calendar event"], [(["title", "name", "event"], _S, "What it is", lambda r: r.choice(("meeting", "lunch", "dinner", "call", "lesson", "tennis")) + " with " + r.choice(w.FIRST)), (["day", "date"], _S, "Date", w.date), (["time", "start", "at"], _S, "Time as HH:MM", w.clock)],
            ["Put {0} on {1} at {2} in my calendar.", "Add {0} on {1} at {2}.", "Schedule {0} for {1} at {2}.", "Create an event: {0}, {1}, {2}"], {"status": _one_of("created", "saved")}, "The {0} on {1} at {2} is {status}."),
    _family("read_file open_file load_file cat_file", ["Read a file", "Return the content of a file"], [(["path", "file", "filename", "name"], _S, "Path of the file", _file)],
            ["Read {0}.", "What is in {0}?", "Show me the file {0}.", "Open {0}, please."], {"content": _message}, "The file {0} says: {content}"),
    _family("list_files list_dir ls dir_list", ["List the files of a folder", "Show what a folder holds"], [(["path", "folder", "directory", "dir"], _S, "Path of the folder", lambda r: r.choice(("src", "docs", "home", "data", "tmp", "photos", "music", w.madeup(r, False))))],
            ["List the files in {0}.", "What files are in the folder {0}?", "Show me the folder {0}.", "ls {0}"], {"count": _int(1, 80)}, "There are {count} files in {0}."),
    _family("search_web web_search search internet_search find_online", ["Search the web", "Find pages on the internet"], [(["query", "q", "text", "terms"], _S, "Search terms", lambda r: r.choice(("best ", "cheap ", "how to repair a ", "history of the ", "how to clean a ", "price of a ")) + w.item(r))],
            ["Search the web for {0}.", "Look up {0} on the internet.", "Find {0} online.", "google {0}"], {"results": _int(1, 900)}, "I found {results} pages about {0}."),
    _family("book_table reserve_table restaurant_booking reserve", ["Book a table in a restaurant", "Reserve a table"], [(["restaurant", "place", "name"], _S, "Name of the restaurant", lambda r: "the " + r.choice(w.COLORS + w.ADJECTIVES).capitalize() + " " + r.choice(w.ANIMALS).capitalize()), (["people", "guests", "seats", "persons"], _I, "How many people", _int(2, 12)), (["time", "at"], _S, "Time as HH:MM", w.clock)],
            ["Book a table at {0} for {1} people at {2}.", "Reserve a table for {1} at {0}, {2}.", "I want to eat at {0} with {1} people at {2}."], {"confirmation": w.code}, "Your table at {0} for {1} at {2} is booked, number {confirmation}."),
    _family("find_flights search_flights flights flight_search", ["Find flights", "Search flights between two cities"], [(["from", "origin", "departure"], _S, "City of departure", w.city), (["to", "destination", "arrival"], _S, "City of arrival", w.city), (["date", "day"], _S, "Date of the flight", w.date)],
            ["Find a flight from {0} to {1} on {2}.", "I want to fly from {0} to {1} on {2}.", "Flights from {0} to {1} on {2}?"], {"flight": w.code, "price": _int(30, 900)}, "Flight {flight} from {0} to {1} on {2} costs {price}."),
    _family("define define_word dictionary lookup_word word_meaning", ["Meaning of a word", "Look a word up in the dictionary"], [(["word", "term", "text"], _S, "The word", _word)],
            ["What does {0} mean?", "Define {0}.", "Look up the word {0}.", "Meaning of {0}?"], {"definition": lambda r: "a kind of " + r.choice(w.THINGS + w.ANIMALS)}, "{0} means {definition}."),
    _family("calculate calculator math evaluate compute", ["Evaluate an expression", "Do arithmetic"], [(["expression", "expr", "formula", "input"], _S, "The expression", lambda r: "%d %s %d" % (r.randint(100, 9999), r.choice("+-*/"), r.randint(10, 9999)))],
            ["Use the calculator for {0}.", "What is {0}?", "Calculate {0} with the tool.", "Work out {0}."], {"value": _int(10, 99999)}, "The result of {0} is {value}."),
    _family("find_contact get_contact contact_lookup phone_book", ["Find a person's phone number", "Look up a contact"], [(["name", "person", "contact"], _S, "Name of the person", w.person)],
            ["What is the phone number of {0}?", "Find the number of {0}.", "Look up {0} in my contacts.", "How can I call {0}?"], {"phone": _int(100000, 999999)}, "The number of {0} is {phone}."),
    _family("get_order order_status track_order package_status track", ["Status of an order", "Track a package"], [(["id", "order_id", "number", "order"], _S, "Order number", w.code)],
            ["Where is my order {0}?", "Track order {0}.", "What is the status of {0}?", "Has {0} been sent?"], {"status": _one_of("packed", "on the way", "delivered", "delayed"), "day": lambda r: r.choice(w.DAYS)}, "Order {0} is {status}; the day is {day}."),
    _family("add_to_cart buy_item shop_add cart_add", ["Put a product into the cart", "Add an item to the shopping cart"], [(["item", "product", "name"], _S, "The product", w.item), (["quantity", "count", "amount"], _I, "How many", _int(1, 20))],
            ["Put {1} of the {0} into my cart.", "Add {0} to the cart, {1} pieces.", "I want to buy {0}, quantity {1}."], {"total": _int(5, 999)}, "I added {1} x {0}; the total is {total}."),
    _family("roll_dice dice random_number pick_number", ["Roll dice", "Draw a random number"], [(["sides", "max", "limit"], _I, "Largest number", _int(2, 100))],
            ["Roll a die with {0} sides.", "Give me a random number up to {0}.", "Pick a number between 1 and {0}."], {"value": _int(1, 6)}, "I got {value}."),
    _family("take_photo snapshot camera_capture camera", ["Take a photo", "Make a picture with the camera"], [],
            ["Take a photo.", "Make a picture.", "Say cheese!", "Use the camera, please."], {"file": lambda r: "photo_%d.jpg" % r.randint(1, 999)}, "The photo is saved as {file}."),
    _family("get_news news headlines latest_news", ["Latest news on a topic", "Get headlines"], [(["topic", "subject", "category"], _S, "Topic", lambda r: r.choice(("sports", "science", "music", "football", "health", "art", "chess", "space", "cooking", "tennis", w.madeup(r, False))))],
            ["What is new in {0}?", "Give me the news about {0}.", "Latest {0} news, please.", "headlines on {0}"], {"headline": lambda r: r.choice(w.JOBS).capitalize() + " finds " + w.item(r)}, "The latest on {0}: {headline}."),
]
