<?php
// The front controller; state in SQLite, since PHP keeps nothing between requests.
declare(strict_types=1);

const COMMANDS = ['Room.CallbackAfterMemberEnter' => 1, 'Room.CallbackAfterMemberLeave' => 0];
define('SDKAPPID', getenv('SDKAPPID') ?: '1400000001');

final class Refused extends RuntimeException {}

function reply(mixed $value, int $status = 200): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($value, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);
    exit;
}

function db(): PDO
{
    $pdo = new PDO('sqlite:' . (getenv('DATABASE') ?: __DIR__ . '/rooms.db'));
    $pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    $pdo->setAttribute(PDO::ATTR_TIMEOUT, 10);
    $pdo->exec('PRAGMA journal_mode = WAL');
    $pdo->exec('PRAGMA synchronous = NORMAL');
    $pdo->exec('CREATE TABLE IF NOT EXISTS members (room TEXT, account TEXT, event_time INTEGER, present INTEGER,
        PRIMARY KEY (room, account))');
    return $pdo;
}

function callback(): array
{
    $names = array_map(fn ($pair) => urldecode(explode('=', $pair, 2)[0]), explode('&', $_SERVER['QUERY_STRING'] ?? ''));
    $once = count(array_keys($names, 'SdkAppid', true)) === 1; // $_GET has the last of two
    if (!$once || ($_GET['SdkAppid'] ?? '') !== SDKAPPID) {
        throw new Refused('unknown SdkAppid', 403);
    }
    try {
        $event = json_decode(file_get_contents('php://input'), true, 64, JSON_THROW_ON_ERROR);
    } catch (JsonException) {
        throw new Refused('not JSON', 400);
    }
    $command = is_array($event) ? $event['CallbackCommand'] ?? null : null;
    if (!is_string($command) || $command !== ($_GET['CallbackCommand'] ?? null)) {
        throw new Refused('CallbackCommand differs between URL and body', 400);
    }
    if (isset(COMMANDS[$command])) {
        apply($event, COMMANDS[$command]);
    }
    return ['ActionStatus' => 'OK', 'ErrorInfo' => '', 'ErrorCode' => 0];
}

function apply(array $event, int $present): void
{
    ['RoomId' => $room, 'MemberList_Account' => $accounts, 'EventTime' => $time]
        = $event + ['RoomId' => null, 'MemberList_Account' => null, 'EventTime' => null];
    if (!is_string($room) || !is_array($accounts) || !is_int($time) || $accounts !== array_filter($accounts, 'is_string')) {
        throw new Refused('malformed packet', 400);
    }
    $db = db();
    $upsert = $db->prepare('INSERT INTO members VALUES (?, ?, ?, ?) ON CONFLICT (room, account) DO UPDATE
        SET event_time = excluded.event_time, present = excluded.present WHERE excluded.event_time > event_time');
    $db->exec('BEGIN IMMEDIATE');
    foreach ($accounts as $account) {
        $upsert->execute([$room, $account, $time, $present]);
    }
    $db->exec('COMMIT');
}

try {
    $path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
    match ($_SERVER['REQUEST_METHOD'] . ' ' . $path) {
        'POST /callback' => reply(callback()),
        'GET /members' => (function () {
            $query = db()->prepare('SELECT account FROM members WHERE room = ? AND present');
            $query->execute([$_GET['room'] ?? '']);
            reply($query->fetchAll(PDO::FETCH_COLUMN));
        })(),
        default => throw new Refused('no such thing', $path === '/callback' ? 405 : 404),
    };
} catch (Refused $error) {
    reply(['ActionStatus' => 'FAIL', 'ErrorInfo' => $error->getMessage(), 'ErrorCode' => $error->getCode()], $error->getCode());
} catch (Throwable $error) {
    error_log((string) $error);
    reply(['ActionStatus' => 'FAIL', 'ErrorInfo' => 'internal error', 'ErrorCode' => 500], 500);
}
