import { useNavigate } from "@tanstack/react-router";
import { signOut } from "../data/session.js";
import { Avatar } from "../ui/avatar.js";
import { Icon, type IconName } from "../ui/icon.js";
import { Menu } from "../ui/menu.js";
import { type ThemeChoice, useTheme } from "../ui/theme.js";

const THEMES: readonly (readonly [ThemeChoice, string, IconName])[] = [
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
  ["system", "As the system", "device"],
];

/** The account: devices, theme, signing out. */
export function AccountMenu({
  user,
}: {
  readonly user: { readonly id: string; readonly name: string; readonly email: string };
}) {
  const navigate = useNavigate();
  const [theme, setTheme] = useTheme();
  return (
    <Menu
      label="Account"
      trigger={(props) => (
        <button type="button" className="avatar-button" aria-label={`Account of ${user.name}`} {...props}>
          <Avatar id={user.id} name={user.name} />
        </button>
      )}
    >
      <div className="menu-head">
        <strong className="truncate">{user.name}</strong>
        <div className="small muted truncate">{user.email}</div>
      </div>
      <Item icon="user" onClick={() => void navigate({ to: "/account" })}>
        Account
      </Item>
      <Item icon="device" onClick={() => void navigate({ to: "/account/devices" })}>
        Devices
      </Item>
      <div className="menu-rule" role="separator" />
      {THEMES.map(([choice, label, icon]) => (
        <Item key={choice} icon={icon} onClick={() => setTheme(choice)} checked={theme === choice}>
          {label}
        </Item>
      ))}
      <div className="menu-rule" role="separator" />
      <Item icon="logout" onClick={() => void signOut()}>
        Sign out
      </Item>
    </Menu>
  );
}

function Item({
  icon,
  onClick,
  checked,
  children,
}: {
  readonly icon: IconName;
  readonly onClick: () => void;
  readonly checked?: boolean;
  readonly children: string;
}) {
  return (
    <button type="button" role="menuitem" className="menu-item" onClick={onClick}>
      <Icon name={icon} />
      <span className="grow">{children}</span>
      {checked && (
        <>
          <Icon name="check" />
          <span className="visually-hidden">chosen</span>
        </>
      )}
    </button>
  );
}
