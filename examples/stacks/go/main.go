// Go's net/http: a handler type with a mutex, the members in memory.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

type packet struct {
	CallbackCommand string
	RoomID          string   `json:"RoomId"`
	Accounts        []string `json:"MemberList_Account"`
	EventTime       int64
}

type response struct {
	ActionStatus string
	ErrorInfo    string
	ErrorCode    int
}

type member struct {
	at      int64
	present bool
}

type server struct {
	sdkAppID string
	mu       sync.RWMutex
	rooms    map[string]map[string]member
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err)
	}
}

func refuse(w http.ResponseWriter, status int, why string) {
	writeJSON(w, status, response{"FAIL", why, status})
}

func (s *server) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "POST only")
		return
	}
	query := r.URL.Query()
	if ids := query["SdkAppid"]; len(ids) != 1 || ids[0] != s.sdkAppID {
		refuse(w, http.StatusForbidden, "unknown SdkAppid")
		return
	}
	var p packet
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&p); err != nil {
		refuse(w, http.StatusBadRequest, "malformed packet")
		return
	}
	if p.CallbackCommand != query.Get("CallbackCommand") {
		refuse(w, http.StatusBadRequest, "CallbackCommand differs between URL and body")
		return
	}
	switch p.CallbackCommand {
	case "Room.CallbackAfterMemberEnter", "Room.CallbackAfterMemberLeave":
		if p.RoomID == "" || len(p.Accounts) == 0 || p.EventTime <= 0 {
			refuse(w, http.StatusBadRequest, "RoomId, MemberList_Account and EventTime are needed")
			return
		}
		s.apply(p, p.CallbackCommand == "Room.CallbackAfterMemberEnter")
	}
	writeJSON(w, http.StatusOK, response{ActionStatus: "OK"})
}

func (s *server) apply(p packet, present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.rooms[p.RoomID]
	if room == nil {
		room = map[string]member{}
		s.rooms[p.RoomID] = room
	}
	for _, account := range p.Accounts {
		if p.EventTime > room[account].at {
			room[account] = member{p.EventTime, present}
		}
	}
}

func (s *server) members(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	accounts := []string{}
	for account, m := range s.rooms[r.URL.Query().Get("room")] {
		if m.present {
			accounts = append(accounts, account)
		}
	}
	writeJSON(w, http.StatusOK, accounts)
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "where to listen")
	id := flag.String("sdkappid", os.Getenv("SDKAPPID"), "the SDKAppID")
	flag.Parse()
	s := &server{sdkAppID: *id, rooms: map[string]map[string]member{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/callback", s.callback)
	mux.HandleFunc("/members", s.members)
	srv := &http.Server{Addr: *addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	log.Fatal(srv.ListenAndServe())
}
