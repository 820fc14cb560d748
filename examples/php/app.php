<?php
// An App backend for Room.CallbackAfterMemberEnter and ...Leave: plain PHP 8 and SQLite.
declare(strict_types=1);

const GONE = ['Room.CallbackAfterMemberEnter' => 0, 'Room.CallbackAfterMemberLeave' => 1];
ini_set('display_errors', '0'); // or else warnings, with paths, go into the answers

class Refused extends Exception {}

function database(): PDO
{
    $database = new PDO('sqlite:' . (getenv('DATABASE') ?: 'rooms.db'), options: [PDO::ATTR_TIMEOUT => 2]);
    // By default each commit waits for the disk, and a burst for its turn.
    $database->exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    $database->exec('CREATE TABLE IF NOT EXISTS presence
        (room TEXT, account TEXT, event_time INTEGER, gone INTEGER, PRIMARY KEY (room, account))');
    return $database;
}

function only(string $name): string // of several of one name, $_GET has the last and hides the others
{
    $values = [];
    foreach (explode('&', $_SERVER['QUERY_STRING'] ?? '') as $pair) {
        [$key, $value] = explode('=', $pair, 2) + [1 => ''];
        if (urldecode($key) === $name) {
            $values[] = urldecode($value);
        }
    }
    return implode(',', $values);
}

function check_url(): void
{
    if (only('SdkAppid') !== (getenv('SDKAPPID') ?: '1400000001')) { // === on text: == takes 01400000001 for the same
        throw new Refused('SdkAppid is not ours');
    }
    $token = getenv('ROOMHOOK_TOKEN') ?: getenv('TOKEN');
    if (!$token) {
        return;
    }
    $sent = only('RequestTime');
    if (!preg_match('/^[0-9]{1,12}$/D', $sent) || abs(time() - (int) $sent) > 60) {
        throw new Refused('RequestTime is not within a minute of now');
    }
    if (!hash_equals(hash('sha256', $token . $sent), only('Sign'))) {
        throw new Refused('Sign does not match');
    }
}

function synchronise(string $body): void // $_POST is empty: it is filled from forms only
{
    $packet = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
    $command = $packet['CallbackCommand'] ?? null;
    if (only('CallbackCommand') !== $command) {
        throw new Refused('CallbackCommand differs between URL and body');
    }
    if (!isset(GONE[$command])) {
        return; // none of our business
    }
    $room = $packet['RoomId'] ?? null;
    $accounts = $packet['MemberList_Account'] ?? null;
    $at = $packet['EventTime'] ?? null;
    $texts = is_array($accounts) ? array_filter($accounts, 'is_string') : null;
    if (!is_string($room) || !is_int($at) || $texts === null || $texts !== $accounts) {
        throw new Refused('a field of the packet is missing or of another type');
    }
    $database = database();
    $database->beginTransaction();
    // The later event wins, and of two in one ms the leave: repeated or out of order, the end is the same.
    $upsert = $database->prepare('INSERT INTO presence (room, account, event_time, gone) VALUES (?, ?, ?, ?)
        ON CONFLICT (room, account) DO UPDATE SET event_time = excluded.event_time, gone = excluded.gone
        WHERE (excluded.event_time, excluded.gone) > (event_time, gone)');
    foreach ($accounts as $account) {
        $upsert->execute([$room, $account, $at, GONE[$command]]);
    }
    $database->commit();
}

function members(string $room): array
{
    $members = database()->prepare('SELECT account FROM presence WHERE room = ? AND NOT gone');
    $members->execute([$room]);
    return $members->fetchAll(PDO::FETCH_COLUMN);
}

function answer(): array
{
    $path = explode('?', $_SERVER['REQUEST_URI'])[0];
    if (str_starts_with($path, '/rooms/')) {
        return members(rawurldecode(substr($path, 7)));
    }
    try {
        if ($_SERVER['REQUEST_METHOD'] !== 'POST' || $path !== '/callback') {
            throw new Refused('callbacks come by POST to /callback');
        }
        check_url();
        synchronise(file_get_contents('php://input'));
    } catch (Refused | JsonException $error) {
        return ['ActionStatus' => 'FAIL', 'ErrorCode' => 1, 'ErrorInfo' => $error->getMessage()];
    }
    return ['ActionStatus' => 'OK', 'ErrorCode' => 0, 'ErrorInfo' => ''];
}

header('Content-Type: application/json');
echo json_encode(answer());
