import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;

/** The JDK's own server with Jackson; members in a ConcurrentHashMap. */
public class App {
    record Member(long time, boolean present) {}
    record Ack(String ActionStatus, String ErrorInfo, int ErrorCode) {}

    static class Refused extends Exception {
        final int status;
        Refused(int status, String why) { super(why); this.status = status; }
    }

    static final String SDKAPPID = System.getenv().getOrDefault("SDKAPPID", "1400000001");
    static final Map<String, Boolean> PRESENT =
            Map.of("Room.CallbackAfterMemberEnter", true, "Room.CallbackAfterMemberLeave", false);
    static final ObjectMapper JSON = new ObjectMapper()
            .configure(DeserializationFeature.FAIL_ON_TRAILING_TOKENS, true)
            .setVisibility(com.fasterxml.jackson.annotation.PropertyAccessor.FIELD,
                    com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility.ANY);
    static final Map<String, Map<String, Member>> rooms = new ConcurrentHashMap<>();

    static Map<String, List<String>> query(HttpExchange exchange) {
        Map<String, List<String>> result = new HashMap<>();
        String raw = exchange.getRequestURI().getRawQuery();
        for (String pair : raw == null ? new String[0] : raw.split("&")) {
            String[] parts = pair.split("=", 2);
            result.computeIfAbsent(decode(parts[0]), k -> new ArrayList<>()).add(parts.length > 1 ? decode(parts[1]) : "");
        }
        return result;
    }

    static String decode(String text) { return URLDecoder.decode(text, StandardCharsets.UTF_8); }

    static Object callback(HttpExchange exchange) throws Refused, IOException {
        if (!exchange.getRequestMethod().equals("POST")) throw new Refused(405, "POST only");
        Map<String, List<String>> query = query(exchange);
        if (!List.of(SDKAPPID).equals(query.get("SdkAppid"))) throw new Refused(403, "unknown SdkAppid");
        JsonNode event;
        try (var in = exchange.getRequestBody()) {
            event = JSON.readTree(in.readAllBytes());
        } catch (com.fasterxml.jackson.core.JsonProcessingException error) {
            throw new Refused(400, "not JSON");
        }
        JsonNode command = event.path("CallbackCommand");
        if (!command.isTextual() || !List.of(command.textValue()).equals(query.get("CallbackCommand")))
            throw new Refused(400, "CallbackCommand differs between URL and body");
        Boolean present = PRESENT.get(command.textValue());
        if (present != null) apply(event, present);
        return new Ack("OK", "", 0);
    }

    static void apply(JsonNode event, boolean present) throws Refused {
        JsonNode room = event.path("RoomId"), accounts = event.path("MemberList_Account"), time = event.path("EventTime");
        if (!room.isTextual() || !accounts.isArray() || !time.canConvertToLong() || !time.isIntegralNumber())
            throw new Refused(400, "malformed packet");
        for (JsonNode account : accounts) if (!account.isTextual()) throw new Refused(400, "accounts are strings");
        Map<String, Member> members = rooms.computeIfAbsent(room.textValue(), r -> new ConcurrentHashMap<>());
        Member now = new Member(time.longValue(), present);
        for (JsonNode account : accounts)
            members.merge(account.textValue(), now, (old, young) -> young.time() > old.time() ? young : old);
    }

    static Object members(HttpExchange exchange) {
        String room = query(exchange).getOrDefault("room", List.of("")).get(0);
        return rooms.getOrDefault(room, Map.of()).entrySet().stream()
                .filter(e -> e.getValue().present()).map(Map.Entry::getKey).toList();
    }

    interface Handler { Object handle(HttpExchange exchange) throws Refused, IOException; }

    static void serve(HttpExchange exchange, Handler handler) throws IOException {
        int status = 200;
        Object answer;
        try {
            answer = handler.handle(exchange);
        } catch (Refused error) {
            answer = new Ack("FAIL", error.getMessage(), status = error.status);
        } catch (RuntimeException | StackOverflowError error) {
            answer = new Ack("FAIL", "internal error", status = 500);
        }
        byte[] body = JSON.writeValueAsBytes(answer);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        try (var out = exchange.getResponseBody()) { out.write(body); }
    }

    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 256);
        server.createContext("/callback", exchange -> serve(exchange, App::callback));
        server.createContext("/members", exchange -> serve(exchange, App::members));
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.start();
    }
}
