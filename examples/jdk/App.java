// An App backend for Room.CallbackAfterMemberEnter and ...Leave: the JDK's HttpServer (17 or newer), rooms in memory.
import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.*;
import java.io.IOException;
import java.net.*;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.Consumer;
import java.util.regex.*;

public class App {
  static final Map<String, String> ENV = System.getenv();
  static final String SDKAPPID = ENV.getOrDefault("SDKAPPID", "1400000001");
  static final String TOKEN = ENV.getOrDefault("ROOMHOOK_TOKEN", ENV.getOrDefault("TOKEN", ""));
  static final int LIMIT = 1 << 20; // bytes of body
  static final List<String> COMMANDS = List.of("Room.CallbackAfterMemberEnter", "Room.CallbackAfterMemberLeave");
  /** RoomId, account: twice the EventTime of the last event, plus 1 for a leave; a database table in real life. */
  static final Map<String, Map<String, Long>> ROOMS = new ConcurrentHashMap<>();

  static void need(boolean condition, String otherwise) {
    if (!condition) throw new IllegalArgumentException(otherwise);
  }

  /** Every value of a parameter, joined by commas, so that one which comes twice equals nothing that we look for. */
  static String only(String query, String name) {
    var values = new StringJoiner(",");
    for (var pair : query.split("&")) {
      var parts = (pair + "=").split("=", 3);
      if (URLDecoder.decode(parts[0], UTF_8).equals(name)) values.add(URLDecoder.decode(parts[1], UTF_8));
    }
    return values.toString();
  }

  static void checkUrl(String query) throws Exception {
    need(only(query, "SdkAppid").equals(SDKAPPID), "SdkAppid is not ours"); // as text: parseLong takes 01400000001
    if (TOKEN.isEmpty()) return;
    var sent = only(query, "RequestTime");
    need(sent.matches("[0-9]{1,12}"), "RequestTime is no number of seconds");
    need(Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(sent)) <= 60, "RequestTime is over a minute off");
    var right = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest((TOKEN + sent).getBytes(UTF_8)));
    need(MessageDigest.isEqual(right.getBytes(UTF_8), only(query, "Sign").getBytes(UTF_8)), "Sign does not match");
  }

  static void synchronise(String query, byte[] body) throws Exception {
    need(body.length < LIMIT, "the body is too large");
    var text = UTF_8.newDecoder().decode(ByteBuffer.wrap(body)); // new String(body, UTF_8) replaces what is not UTF-8
    var packet = (Map<?, ?>) new Json(text).document();
    var command = (String) packet.get("CallbackCommand");
    need(only(query, "CallbackCommand").equals(command), "CallbackCommand differs between URL and body");
    if (!COMMANDS.contains(command)) return; // none of our business
    var event = 2 * (Long) packet.get("EventTime") + COMMANDS.indexOf(command);
    var accounts = ((List<?>) packet.get("MemberList_Account")).stream().map(one -> (String) Objects.requireNonNull(one)).toList();
    var members = ROOMS.computeIfAbsent((String) packet.get("RoomId"), room -> new ConcurrentHashMap<>());
    // The later event wins, and of two in one ms the leave: repeated or out of order, the end is the same.
    for (var account : accounts) members.merge(account, event, Math::max);
  }

  static void onCallback(HttpExchange exchange) throws IOException {
    var info = "";
    try {
      var body = exchange.getRequestBody().readNBytes(LIMIT);
      var query = Objects.requireNonNullElse(exchange.getRequestURI().getRawQuery(), "");
      need(exchange.getRequestMethod().equals("POST"), "callbacks come by POST");
      checkUrl(query);
      synchronise(query, body);
    } catch (IllegalArgumentException error) {
      info = error.getMessage();
    } catch (Exception error) { // uncaught, it would leave the Room backend without an answer
      info = "the body is no packet of this callback";
    }
    var answer = "{\"ActionStatus\":\"%s\",\"ErrorCode\":%d,\"ErrorInfo\":%s}";
    reply(exchange, answer.formatted(info.isEmpty() ? "OK" : "FAIL", info.isEmpty() ? 0 : 1, Json.quoted(info)));
  }

  static void onProbe(HttpExchange exchange) throws IOException {
    var present = new StringJoiner(",", "[", "]");
    var room = exchange.getRequestURI().getPath().substring("/rooms/".length());
    ROOMS.getOrDefault(room, Map.of()).forEach((account, event) -> {
      if (event % 2 == 0) present.add(Json.quoted(account));
    });
    reply(exchange, present.toString());
  }

  static void reply(HttpExchange exchange, String json) throws IOException {
    try (exchange) {
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.sendResponseHeaders(200, json.getBytes(UTF_8).length);
      exchange.getResponseBody().write(json.getBytes(UTF_8));
    }
  }

  public static void main(String[] args) throws IOException {
    System.setProperty("sun.net.httpserver.nodelay", "true"); // or else answers on a kept connection take 40 ms
    var port = Integer.parseInt(args.length > 0 ? args[0] : ENV.getOrDefault("PORT", "8000"));
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 1024); // by default 50 may wait
    server.setExecutor(Executors.newFixedThreadPool(32)); // by default one thread serves all
    server.createContext("/callback", App::onCallback);
    server.createContext("/rooms/", App::onProbe);
    server.start();
  }

  /** RFC 8259, at most 64 levels deep: the JDK has no parser. In a project, use Jackson. */
  static class Json {
    static final String MALFORMED = "the body is no JSON document";
    static final Pattern ESCAPE = Pattern.compile("\\\\([\"\\\\/bfnrt]|u[0-9a-fA-F]{4})");
    static final Pattern TOKEN = Pattern.compile("\\G[ \\t\\r\\n]*+([{}\\[\\]:,]|true|false|null|\\z"
        + "|-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?|\"(?:[^\"\\\\\\x00-\\x1f]|" + ESCAPE + ")*+\")");
    final Matcher tokens;

    Json(CharSequence text) {
      tokens = TOKEN.matcher(text);
    }

    Object document() {
      var value = value(take(), 0);
      need(take().isEmpty(), MALFORMED);
      return value;
    }

    String take() {
      need(tokens.find(), MALFORMED);
      return tokens.group(1);
    }

    /** Objects are maps, arrays lists, whole numbers Longs; null stands for what nothing here reads: other scalars. */
    Object value(String token, int depth) {
      need(depth < 64 && !List.of("", "}", "]", ":", ",").contains(token), MALFORMED); // deeper, it overflows the stack
      if (token.equals("{")) {
        var object = new HashMap<String, Object>();
        items("}", key -> {
          need(key.startsWith("\"") && take().equals(":"), MALFORMED);
          object.put(text(key), value(take(), depth + 1));
        });
        return object;
      }
      if (token.equals("[")) {
        var array = new ArrayList<Object>();
        items("]", item -> array.add(value(item, depth + 1)));
        return array;
      }
      return token.startsWith("\"") ? text(token) : token.matches("-?\\d{1,17}") ? Long.valueOf(token) : null;
    }

    void items(String end, Consumer<String> read) {
      var comma = false;
      for (var token = take(); !token.equals(end); token = take()) {
        need(token.equals(",") == comma, MALFORMED);
        read.accept(comma ? take() : token);
        comma = true;
      }
    }

    static String text(String token) {
      return ESCAPE.matcher(token.substring(1, token.length() - 1)).replaceAll(found -> {
        var code = found.group(1);
        var plain = code.startsWith("u") ? (char) HexFormat.fromHexDigits(code, 1, 5)
            : "\"\\/\b\f\n\r\t".charAt("\"\\/bfnrt".indexOf(code));
        return Matcher.quoteReplacement(String.valueOf(plain));
      });
    }

    static String quoted(String text) {
      var special = Pattern.compile("[\\x00-\\x1f\"\\\\]").matcher(text);
      return '"' + special.replaceAll(found -> String.format("\\\\u%04x", (int) found.group().charAt(0))) + '"';
    }
  }
}
