import "reflect-metadata";
import {
  ArgumentsHost, BadRequestException, Body, CanActivate, Catch, Controller, ExceptionFilter, ExecutionContext,
  ForbiddenException, Get, HttpCode, HttpException, Injectable, Module, Post, Query, UseFilters, UseGuards, ValidationPipe,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { NestExpressApplication } from "@nestjs/platform-express";
import { IsArray, IsInt, IsString, Min, ValidateIf } from "class-validator";
import type { Request, Response } from "express";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const PRESENT: Record<string, boolean> = { "Room.CallbackAfterMemberEnter": true, "Room.CallbackAfterMemberLeave": false };
const ours = (packet: Packet) => Object.hasOwn(PRESENT, packet.CallbackCommand);

class Packet {
  @IsString() CallbackCommand: string;
  @ValidateIf(ours) @IsString() RoomId: string;
  @ValidateIf(ours) @IsArray() @IsString({ each: true }) MemberList_Account: string[];
  @ValidateIf(ours) @IsInt() @Min(0) EventTime: number;
}

@Injectable()
class PresenceService {
  private readonly rooms = new Map<string, Map<string, { time: number; present: boolean }>>();

  apply({ RoomId, MemberList_Account, EventTime, CallbackCommand }: Packet) {
    const members = this.rooms.get(RoomId) ?? new Map();
    this.rooms.set(RoomId, members);
    for (const account of MemberList_Account) {
      if (EventTime > (members.get(account)?.time ?? -1)) members.set(account, { time: EventTime, present: PRESENT[CallbackCommand] });
    }
  }

  members(room: string): string[] {
    return [...(this.rooms.get(room) ?? [])].filter(([, m]) => m.present).map(([account]) => account);
  }
}

@Injectable()
class SdkAppidGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (context.switchToHttp().getRequest<Request>().query.SdkAppid === SDKAPPID) return true;
    throw new ForbiddenException("unknown SdkAppid");
  }
}

@Catch(HttpException)
class ResponsePacketFilter implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost) {
    const status = error.getStatus();
    host.switchToHttp().getResponse<Response>().status(status)
      .json({ ActionStatus: "FAIL", ErrorInfo: error.message, ErrorCode: status });
  }
}

@Controller()
@UseFilters(ResponsePacketFilter)
class RoomsController {
  constructor(private readonly presence: PresenceService) {}

  @Post("callback")
  @HttpCode(200) // Nest's default for POST is 201
  @UseGuards(SdkAppidGuard)
  callback(@Body() packet: Packet, @Query("CallbackCommand") command: string) {
    if (packet.CallbackCommand !== command) throw new BadRequestException("CallbackCommand differs between URL and body");
    if (ours(packet)) this.presence.apply(packet);
    return { ActionStatus: "OK", ErrorInfo: "", ErrorCode: 0 };
  }

  @Get("members")
  members(@Query("room") room: string) {
    return this.presence.members(room);
  }
}

@Module({ controllers: [RoomsController], providers: [PresenceService] })
class AppModule {}

async function bootstrap() {
  const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: ["error"], bodyParser: false });
  app.useBodyParser("json", { type: () => true, limit: "4mb" }); // the Room backend sends no Content-Type
  app.useGlobalPipes(new ValidationPipe());
  await app.listen(Number(process.env.PORT), "127.0.0.1");
}
void bootstrap();
