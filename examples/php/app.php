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
        $parts = array_map('urldecode', explode('=', $pair, 2));
        $values[$parts[0]][] = $parts[1] ?? '';
    }
    return implode(',', $values[$name] ?? []);
}

function check_url(): void
{
    // === on text: == takes 01400000001 for the same
    only('SdkAppid') === (getenv('SDKAPPID') ?: '1400000001') or throw new Refused('SdkAppid is not ours');
    if ($token = getenv('ROOMHOOK_TOKEN') ?: getenv('TOKEN')) {
        $sent = only('RequestTime');
        $fresh = preg_match('/^[0-9]{1,12}$/D', $sent) && abs(time() - (int) $sent) <= 60;
        $fresh or throw new Refused('RequestTime is not within a minute of now');
        hash_equals(hash('sha256', $token . $sent), only('Sign')) or throw new Refused('Sign does not match');
    }
}

function synchronise(string $body): void // $_POST is empty: it is filled from forms only
{
    $packet = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
    $command = $packet['CallbackCommand'] ?? null;
    only('CallbackCommand') === $command or throw new Refused('CallbackCommand differs between URL and body');
    if (!isset(GONE[$command])) {
        return; // none of our business
    }
    [$room, $accounts, $at] = [$packet['RoomId'] ?? 0, $packet['MemberList_Account'] ?? 0, $packet['EventTime'] ?? ''];
    $texts = is_array($accounts) && $accounts === array_filter($accounts, 'is_string');
    $texts && is_string($room) && is_int($at) or throw new Refused('a field is missing or of another type');
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

function answer(string $path): array
{
    if (str_starts_with($path, '/rooms/')) {
        $members = database()->prepare('SELECT account FROM presence WHERE room = ? AND NOT gone');
        $members->execute([rawurldecode(substr($path, 7))]);
        return $members->fetchAll(PDO::FETCH_COLUMN);
    }
    try {
        "$_SERVER[REQUEST_METHOD] $path" === 'POST /callback' or throw new Refused('callbacks come by POST /callback');
        check_url();
        synchronise(file_get_contents('php://input'));
    } catch (Refused | JsonException $error) {
        return ['ActionStatus' => 'FAIL', 'ErrorCode' => 1, 'ErrorInfo' => $error->getMessage()];
    }
    return ['ActionStatus' => 'OK', 'ErrorCode' => 0, 'ErrorInfo' => ''];
}

header('Content-Type: application/json');
echo json_encode(answer(explode('?', $_SERVER['REQUEST_URI'])[0]));
